//! Files and what is in them.

mod assemble;
mod attributes;
mod authorized_key;
mod blockinfile;
mod copy;
mod edit;
mod fetch;
mod file;
mod find;
mod get_url;
mod ini_file;
mod lineinfile;
mod place;
mod replace;
mod slurp;
mod stat;
mod tempfile;
mod template;
#[cfg(test)]
mod tests;
mod unarchive;

use super::Module;

/// The modules of this family.
pub const MODULES: &[&dyn Module] = &[
    &copy::Copy,
    &template::Template,
    &file::File,
    &lineinfile::LineInFile,
    &blockinfile::BlockInFile,
    &replace::Replace,
    &ini_file::IniFile,
    &stat::StatModule,
    &find::Find,
    &slurp::Slurp,
    &fetch::Fetch,
    &assemble::Assemble,
    &tempfile::TempFile,
    &get_url::GetUrl,
    &unarchive::Unarchive,
    &authorized_key::AuthorizedKey,
];
