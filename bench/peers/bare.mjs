// BullMQ and the official SDK with nothing between them: no limiter, so no promise. What a call costs at least with a job for each certificate.
import { work } from './bull.mjs';

work();
