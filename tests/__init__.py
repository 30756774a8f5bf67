"""The tests mirror the package; `fakes` implement ports, `contracts` hold one suite per port."""
