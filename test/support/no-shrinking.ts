import fc from 'fast-check';

// A property that fails is told as it failed: looking for a shorter example can take minutes.
fc.configureGlobal({ ...fc.readConfigureGlobal(), endOnFailure: true });
