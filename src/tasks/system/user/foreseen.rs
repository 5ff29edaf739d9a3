//! Who a user will be.

use super::{Args, State, foreseen_id, taken};
use crate::forecast::{Effect, Scope};
use crate::guest::{Group, User};
use crate::tasks::{Known, Pause, Verdict};

impl Args {
    /// Nobody else has the number that the user is to have.
    pub(super) fn has_its_number(&self, there: Option<&User>, guest: &Known) -> Result<(), Pause> {
        let is_new = |uid: &u32| self.state == State::Present && there.is_none_or(|user| user.uid != *uid);
        let Some(uid) = self.uid.filter(is_new).filter(|_| !self.non_unique) else { return Ok(()) };
        match guest.user(&uid.to_string())?.filter(|other| other.uid == uid) {
            Some(other) => Err(taken(uid, "user", &other.name).into()),
            None => Ok(()),
        }
    }

    /// Who the user will be, and what else comes or goes with it.
    pub(super) fn foreseen(&self, guest: &Known, verdict: &Verdict) -> Result<Vec<Effect>, Pause> {
        let there = guest.user(&self.name)?.cloned();
        let why = format!("what comes with the user {}", self.name);
        let path = |path: String| Effect::unknown(Scope::Path(path), why.clone());
        if self.state == State::Absent {
            let home = there.filter(|_| self.remove).map(|user| user.home);
            // A group of its own goes with it.
            let own = Effect::unknown(Scope::Accounts, why.clone());
            let gone = Effect::User { name: self.name.clone(), user: None };
            return Ok([own, gone].into_iter().chain(home.map(path)).collect());
        }
        let mut effects = vec![];
        let is_new = there.is_none();
        let mut user = there.unwrap_or_else(|| User {
            name: self.name.clone(),
            uid: foreseen_id(&self.name),
            home: format!("/home/{}", self.name),
            shell: "/bin/sh".into(),
            is_local: true,
            password: Some("!".into()),
            ..User::default()
        });
        let group = match &self.group {
            Some(group) => guest.group(group)?.cloned(),
            None if is_new => {
                let group = guest.group(&self.name)?.cloned();
                // A group of its own has the user's number, where no other group has it.
                let number = match self.uid {
                    Some(uid) if guest.group(&uid.to_string())?.is_none() => uid,
                    _ => foreseen_id(&self.name),
                };
                let group = group.unwrap_or_else(|| Group { name: self.name.clone(), gid: number, members: vec![] });
                effects.push(Effect::Group { name: group.name.clone(), group: Some(group.clone()) });
                Some(group)
            }
            None => None,
        };
        if let Some(group) = group {
            (user.gid, user.group) = (group.gid, group.name);
        }
        user.uid = self.uid.unwrap_or(user.uid);
        let set = |to: &mut String, value: &Option<String>| {
            if let Some(value) = value {
                to.clone_from(value);
            }
        };
        set(&mut user.comment, &self.comment);
        set(&mut user.shell, &self.shell);
        set(&mut user.home, &self.home);
        if let Some(groups) = &self.groups {
            let wanted = groups.iter().filter(|group| !group.is_empty() && **group != user.group).cloned();
            let kept = if self.append { std::mem::take(&mut user.groups) } else { vec![] };
            user.groups = kept;
            for group in wanted {
                if !user.groups.contains(&group) {
                    user.groups.push(group);
                }
            }
        }
        if self.password.is_some() && (is_new || self.update_password.as_deref() != Some("on_create")) {
            user.password.clone_from(&self.password);
        }
        if let Some(lock) = self.password_lock {
            let bare = user.password.take().unwrap_or_default().trim_start_matches('!').to_owned();
            user.password = Some(if lock { format!("!{bare}") } else { bare });
        }
        if let Some(expires) = self.expires {
            #[expect(clippy::cast_possible_truncation, reason = "days")]
            let day = (expires / 86_400.0) as i64;
            user.expires = Some(day).filter(|_| expires >= 0.0);
        }
        let home = user.home.clone();
        let touches_home = verdict.changes.iter().any(|change| change.what == home || change.what == "home");
        let makes_home = is_new && self.creates_home();
        effects.push(Effect::User { name: self.name.clone(), user: Some(user) });
        effects.extend((makes_home || touches_home || self.generate_ssh_key).then(|| path(home)));
        Ok(effects)
    }
}
