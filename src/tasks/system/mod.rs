//! The system: facts, services, users, and what configures them.

mod alternatives;
mod cron;
mod facts;
mod facts_hardware;
mod facts_network;
mod facts_script;
mod facts_sections;
mod getent;
mod group;
mod hostname;
mod iptables;
mod locale_gen;
mod mount;
mod service;
mod service_facts;
mod setup;
mod sysctl;
mod systemd;
#[cfg(test)]
mod tests;
mod timezone;
mod ufw;
mod user;

use super::Module;

/// The modules of this family.
pub const MODULES: &[&dyn Module] = &[
    &setup::Setup,
    &systemd::Systemd,
    &service::Service,
    &user::UserModule,
    &group::GroupModule,
    &service_facts::ServiceFacts,
    &getent::Getent,
    &sysctl::Sysctl,
    &cron::Cron,
    &hostname::Hostname,
    &timezone::Timezone,
    &locale_gen::LocaleGen,
    &mount::Mount,
    &alternatives::Alternatives,
    &ufw::Ufw,
    &iptables::Iptables,
];
