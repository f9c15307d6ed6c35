//! Inputs as people really have them: a file for each thing that may be odd about them, readable as a list of what it looks like and
//! what it means.

#[path = "../support/mod.rs"]
mod support;

mod agreement;
mod cuts;
mod n01_several_objects;
mod n02_incomplete_end;
mod n03_marks_and_holes;
mod n04_surrogates;
mod n05_documents;
mod n06_compression;
mod n07_foreign;
mod n08_where;
mod n09_rejects;
mod n10_mended;
mod n11_time;
mod n12_many;
mod rows;
