//! What stands between a plan and more deletions than were meant.

use super::options::Options;
use super::{Action, Plan, Refusal};
use crate::kinds::{Kind, Raw};
use crate::site::Site;

/// Adds the refusals of a plan that deletes too much, or what was applied from elsewhere.
pub(super) fn check(plan: &mut Plan, site: &Site, options: &Options) {
    max_deletes(plan, options);
    if !options.origin_changed {
        origins(plan, site);
    }
}

fn max_deletes(plan: &mut Plan, options: &Options) {
    let Some(most) = options.max_deletes else { return };
    let deletes = plan.changes.iter().filter(|change| matches!(change.action, Action::Delete | Action::Replace));
    let count = deletes.count();
    if count > most {
        plan.refused.push(Refusal {
            address: None,
            code: "max-deletes",
            text: format!("the plan deletes or replaces {count} objects, and --max-deletes allows {most}"),
            help: "look at the deletions above; a higher --max-deletes allows them".into(),
            span: None,
        });
    }
}

/// Two checkouts with one `site:` would prune each other.
fn origins(plan: &mut Plan, site: &Site) {
    let going = plan.changes.iter().zip(&plan.work).filter(|(change, _)| change.action == Action::Delete);
    let foreign: Vec<(String, String)> = going
        .filter_map(|(change, work)| {
            let origin = other_origin(work.kind?, work.live.as_ref()?, &plan.site, site.origin.as_deref())?;
            Some((change.address.to_string(), origin))
        })
        .collect();
    let Some((_, origin)) = foreign.first() else { return };
    let names: Vec<&str> = foreign.iter().take(6).map(|(address, _)| address.as_str()).collect();
    let more =
        if foreign.len() > names.len() { format!(" and {} more", foreign.len() - names.len()) } else { String::new() };
    plan.refused.push(Refusal {
        address: None,
        code: "other-origin",
        text: format!(
            "{}{more} would be deleted, and the site `{}` was applied from another place in git (origin {origin}, here {})",
            names.join(", "),
            plan.site,
            site.origin.as_deref().unwrap_or_default()
        ),
        help: "give one of the two sites another `site:`; if the file has only moved, --origin-changed takes it over".into(),
        span: None,
    });
}

/// Where a live object of the site was last applied from.
pub(super) fn origin_of(kind: &dyn Kind, live: &Raw, site: &str) -> Option<String> {
    kind.stamps(live).into_iter().find(|stamp| stamp.site == site)?.origin
}

/// The same where it is known to be another place than `here`.
pub(super) fn other_origin(kind: &dyn Kind, live: &Raw, site: &str, here: Option<&str>) -> Option<String> {
    origin_of(kind, live, site).filter(|origin| here.is_some_and(|here| here != origin))
}
