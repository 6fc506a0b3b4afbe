//! The fuzz targets without a fuzzer.

mod replay;
