"""Methods of reconstruction, one module each, behind the protocol of `sereno.methods`."""
