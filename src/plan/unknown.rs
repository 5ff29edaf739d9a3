use super::{Action, Plan};
use crate::kinds::ImageRef;
use crate::kinds::image::Source;

/// What a plan holds that only its run will tell.
pub fn of_plan(plan: &Plan) -> Vec<String> {
    let changes = plan.changes.iter().zip(&plan.work);
    let making = changes.filter(|(change, _)| matches!(change.action, Action::Create | Action::Replace));
    making
        .filter_map(|(change, work)| {
            let object = work.object.as_ref()?;
            let lifecycle = object.lifecycle.as_ref().and_then(|lifecycle| lifecycle.image.as_ref());
            match (object.spec.downcast_ref::<Source>(), lifecycle) {
                (Some(Source::Server { server, .. }), _) => {
                    Some(format!("{}: the fingerprint that {server} gives", change.address))
                }
                (_, Some((ImageRef::Remote { remote, alias }, _, _))) => {
                    Some(format!("{}: the image that {remote}:{alias} stands for", change.address))
                }
                _ => None,
            }
        })
        .collect()
}
