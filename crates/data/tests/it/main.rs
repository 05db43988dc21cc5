//! Files in, data out, and back.

mod arrays;
mod binary;
mod conform;
mod damage;
mod features;
mod npy;
mod pictures;
mod splits;
mod support;
mod tables;
mod transforms;
mod writers;
