//! The log in files, on a disk that can be cut off, filled, and made to fail.

mod conforming;
mod faulty_disk;
mod power_cuts;
