//! A task's items, its retries, and its result.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::task::{Outcome, Timed, is_true};
use super::told::Told;
use super::walk::Walk;
use crate::model::{PlayEvent, TaskStatus};
use crate::play::library::listed;
use crate::play::model::{Repeat, Task};
use crate::play::scope::View;
use crate::tasks::{Failure, Map, Touches, registry};
use crate::template::ansible::{ErrorKind, text};
use crate::template::{Value, ValueKind, map};

/// How a loop is told of and named.
pub(super) struct Control {
    pub var: String,
    pub index_var: Option<String>,
    pub label: Option<Value>,
    pub pause: Option<f64>,
    pub extended: bool,
    pub break_when: Vec<Value>,
}

impl Walk<'_> {
    /// What a task comes to on this host, all its items together.
    pub(super) async fn outcome(&self, task: &Rc<Task>, view: &View) -> Timed {
        let started = Instant::now();
        let _fork = self.run.forks.acquire().await;
        let throttle = match self.throttle(task, view) {
            Ok(throttle) => throttle,
            Err(failure) => return Timed::now(Outcome::failed(failure)),
        };
        let _throttle = match &throttle {
            Some(throttle) => throttle.acquire().await.ok(),
            None => None,
        };
        self.run.tell(PlayEvent::TaskStarted { task: self.task_name(task, view), host: self.host.name.clone() });
        let outcome = match &task.repeat {
            None => self.once_over(task, view).await,
            Some(repeat) => match self.items_of(repeat, view) {
                Ok(items) => self.repeated(task, view, items).await,
                Err(failure) => match self.false_condition(view) {
                    // What is not to be run need not have items.
                    Ok(Some(condition)) => Outcome::skipped("Conditional result was False", Some(&condition)),
                    _ => self.doubted(task, view, Outcome::failed(failure)),
                },
            },
        };
        Timed::since(started, outcome)
    }

    fn throttle(&self, task: &Rc<Task>, view: &View) -> Result<Option<Rc<tokio::sync::Semaphore>>, Failure> {
        let most = self.number(view.context.setting("throttle"), view, "throttle")?;
        let Some(most) = most.filter(|most| *most >= 1.0) else { return Ok(None) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
        let permits = most as usize;
        let mut throttles = self.run.throttles.borrow_mut();
        let throttle = throttles.entry(Rc::as_ptr(task) as usize);
        Ok(Some(throttle.or_insert_with(|| Rc::new(tokio::sync::Semaphore::new(permits))).clone()))
    }

    /// The items of a `loop` or `with_…`.
    pub(super) fn items_of(&self, repeat: &Repeat, view: &View) -> Result<Vec<Value>, Failure> {
        self.run.loop_items(repeat, view)
    }

    pub(super) fn control(&self, task: &Task, view: &View) -> Result<Control, Failure> {
        let get = |name: &str| task.loop_control.get(name);
        let word = |name: &str| get(name).map(|value| self.rendered(value, view).map(|value| text(&value))).transpose();
        Ok(Control {
            var: word("loop_var")?.unwrap_or_else(|| "item".into()),
            index_var: word("index_var")?,
            label: get("label").cloned(),
            pause: self.number(get("pause"), view, "pause")?,
            extended: get("extended").is_some_and(is_true),
            break_when: get("break_when").map(listed).unwrap_or_default(),
        })
    }

    /// What each item's run sees: the item, its index, and what `extended` adds.
    pub(super) fn item_locals(&self, control: &Control, items: &[Value], index: usize) -> Map {
        let mut locals = Map::new();
        locals.insert(control.var.clone(), items[index].clone());
        locals.insert("ansible_loop_var".into(), control.var.as_str().into());
        if let Some(name) = &control.index_var {
            locals.insert(name.clone(), index.into());
            locals.insert("ansible_index_var".into(), name.as_str().into());
        }
        if control.extended {
            let mut entries = vec![
                ("allitems", Value::from(items.to_vec())),
                ("index", (index + 1).into()),
                ("index0", index.into()),
                ("first", (index == 0).into()),
                ("last", (index + 1 == items.len()).into()),
                ("length", items.len().into()),
                ("revindex", (items.len() - index).into()),
                ("revindex0", (items.len() - index - 1).into()),
            ];
            if index > 0 {
                entries.push(("previtem", items[index - 1].clone()));
            }
            entries.extend(items.get(index + 1).map(|next| ("nextitem", next.clone())));
            locals.insert("ansible_loop".into(), map(entries));
        }
        locals
    }

    async fn repeated(&self, task: &Rc<Task>, view: &View, items: Vec<Value>) -> Outcome {
        if items.is_empty() {
            let mut outcome = Outcome::skipped("No items in the list", None);
            outcome.result.insert("skipped_reason".into(), "No items in the list".into());
            outcome.result.insert("results".into(), Value::from(Vec::<Value>::new()));
            return outcome;
        }
        let control = match self.control(task, view) {
            Ok(control) => control,
            Err(failure) => return Outcome::failed(failure),
        };
        let mut all = Outcome { is_skipped: true, ..Outcome::default() };
        let mut results = vec![];
        let name = self.task_name(task, view);
        for index in 0..items.len() {
            if index > 0
                && let Some(pause) = control.pause
            {
                tokio::time::sleep(Duration::from_secs_f64(pause.max(0.0))).await;
            }
            let started = Instant::now();
            let item_view = view.with(self.item_locals(&control, &items, index));
            let mut one = self.once_over(task, &item_view).await;
            one.result.insert(control.var.clone(), items[index].clone());
            one.result.insert("ansible_loop_var".into(), control.var.as_str().into());
            one.result.insert("failed".into(), one.failure.is_some().into());
            let label = control.label.as_ref().map_or_else(
                || items[index].clone(),
                |label| self.rendered(label, &item_view).unwrap_or_else(|_| items[index].clone()),
            );
            let is_hidden = self.run.flag(&item_view, "no_log").unwrap_or(true);
            let status = match &one {
                one if one.unknown.is_some() => TaskStatus::Unknown,
                one if one.is_unreachable => TaskStatus::Unreachable,
                one if one.failure.is_some() => TaskStatus::Failed,
                one if one.is_skipped => TaskStatus::Skipped,
                one if one.is_changed => TaskStatus::Changed,
                _ => TaskStatus::Ok,
            };
            let (task, name, delegate) = (&**task, name.as_str(), None);
            let item = Some(text(&label));
            self.tell(Told {
                task,
                name,
                outcome: &one,
                status,
                item,
                delegate,
                is_hidden,
                elapsed: started.elapsed(),
            });
            all.is_changed |= one.is_changed;
            all.is_skipped &= one.is_skipped;
            all.changes.append(&mut one.changes);
            all.warnings.append(&mut one.warnings);
            all.facts.extend(std::mem::take(&mut one.facts));
            if one.unknown.is_none() {
                self.learn_facts(task, &all.facts);
            }
            results.push(one.value());
            all.unknown = all.unknown.take().or(one.unknown.take());
            all.unknown_result = all.unknown_result.take().or(one.unknown_result.take());
            all.is_unreachable = one.is_unreachable;
            if all.failure.is_none() {
                all.failure = one.failure.map(|failure| Failure {
                    message: format!("One or more items failed: {}: {}", text(&label), failure.message),
                    ..failure
                });
            }
            let breaks =
                !control.break_when.is_empty() && self.all_hold(&control.break_when, &item_view).unwrap_or(false);
            if all.is_unreachable || breaks {
                break;
            }
        }
        let message = match (&all.failure, all.is_skipped) {
            (Some(_), _) => "One or more items failed",
            (None, true) => "All items skipped",
            (None, false) => "All items completed",
        };
        all.result.insert("changed".into(), all.is_changed.into());
        all.result.insert("failed".into(), all.failure.is_some().into());
        if all.is_skipped {
            all.result.insert("skipped".into(), true.into());
        }
        all.result.insert("msg".into(), message.into());
        all.result.insert("results".into(), Value::from(results));
        all
    }

    /// One run without a loop: its condition, its retries.
    async fn once_over(&self, task: &Rc<Task>, view: &View) -> Outcome {
        match self.false_condition(view) {
            Ok(None) => {}
            Ok(Some(condition)) => return Outcome::skipped("Conditional result was False", Some(&condition)),
            Err(failure) => return self.doubted(task, view, Outcome::failed(failure)),
        }
        if let Some(why) = &*self.doubt.borrow() {
            return self.doubted(task, view, Outcome::unknown(why.clone()));
        }
        let outcome = match self.with_retries(task, view).await {
            Ok(outcome) => outcome,
            Err(failure) => Outcome::failed(failure),
        };
        self.doubted(task, view, outcome)
    }

    async fn with_retries(&self, task: &Rc<Task>, view: &View) -> Result<Outcome, Failure> {
        let retries = self.number(task.retries.as_ref(), view, "retries")?;
        let delay = self.number(task.delay.as_ref(), view, "delay")?.unwrap_or(5.0).max(0.0);
        let repeats = !task.until.is_empty() || retries.is_some();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
        let attempts = match retries {
            _ if !repeats => 1,
            None => 3,
            Some(retries) if retries <= 0.0 => 1,
            Some(retries) => retries as usize + 1,
        };
        let mut attempt = 1;
        loop {
            let mut outcome = self.judged(task, view).await;
            if !repeats || outcome.is_unreachable || outcome.is_skipped || outcome.unknown.is_some() {
                return Ok(outcome);
            }
            outcome.result.insert("attempts".into(), attempt.into());
            let seen = self.with_result(task, view, &outcome);
            let is_done =
                if task.until.is_empty() { outcome.failure.is_none() } else { self.all_hold(&task.until, &seen)? };
            if is_done {
                return Ok(outcome);
            }
            // A preview does not wait for what comes.
            if attempt == attempts || self.run.world.settings.check || self.run.ahead.is_some() {
                if self.run.world.settings.check && outcome.failure.is_none() {
                    return Ok(Outcome::unknown("whether `until` will hold"));
                }
                if outcome.failure.is_none() {
                    outcome.result.insert("failed".into(), true.into());
                    let message = format!("after {attempts} attempts `until` does not hold");
                    outcome.failure = Some(Failure { message, result: outcome.result.clone(), ..Failure::default() });
                }
                return Ok(outcome);
            }
            attempt += 1;
            self.host.forecast.borrow_mut().forget();
            tokio::time::sleep(Duration::from_secs_f64(delay)).await;
        }
    }

    /// The view in which `changed_when` and its like are judged: with the result under its name.
    fn with_result(&self, task: &Task, view: &View, outcome: &Outcome) -> View {
        let mut more = Map::new();
        if let Some(name) = &task.register {
            more.insert(name.clone(), outcome.value());
        }
        view.with(more)
    }

    /// A run, and what `changed_when` and `failed_when` make of it.
    async fn judged(&self, task: &Rc<Task>, view: &View) -> Outcome {
        let (mut outcome, notified) = self.acted(task, view).await;
        if outcome.is_skipped || outcome.is_unreachable {
            return outcome;
        }
        if let Some(why) = outcome.unknown.clone() {
            if !is_harmless(task) {
                self.maybe_notify(&notified, &why);
            }
            return outcome;
        }
        self.learn_facts(task, &outcome.facts);
        if let Err(failure) = self.judge(task, view, &mut outcome) {
            let result = outcome.result.clone();
            return Outcome { is_changed: outcome.is_changed, ..Outcome::failed(Failure { result, ..failure }) };
        }
        outcome.result.insert("changed".into(), outcome.is_changed.into());
        outcome.result.insert("failed".into(), outcome.failure.is_some().into());
        if outcome.is_changed && outcome.failure.is_none() {
            self.notify(&notified);
        }
        if outcome.is_changed {
            self.host.has_old_facts.set(true);
        }
        if outcome.is_changed && !self.run.world.settings.check {
            // What comes now was most likely never done: looking far ahead would be in vain.
            self.host.horizon.set(1);
        }
        outcome
    }

    fn judge(&self, task: &Task, view: &View, outcome: &mut Outcome) -> Result<(), Failure> {
        outcome.result.entry("changed".into()).or_insert_with(|| outcome.is_changed.into());
        outcome.result.entry("failed".into()).or_insert_with(|| outcome.failure.is_some().into());
        if let Some(conditions) = &task.changed_when {
            let seen = self.with_result(task, view, outcome);
            outcome.is_changed = self.all_hold(conditions, &seen)?;
            outcome.result.insert("changed".into(), outcome.is_changed.into());
        }
        if let Some(conditions) = &task.failed_when {
            let seen = self.with_result(task, view, outcome);
            let fails = self.all_hold(conditions, &seen)?;
            outcome.result.insert("failed_when_result".into(), fails.into());
            outcome.result.insert("failed".into(), fails.into());
            match (fails, &outcome.failure) {
                (true, None) => {
                    let shown = conditions.iter().map(text).collect::<Vec<_>>().join(" and ");
                    let message = format!("`failed_when` holds: {shown}");
                    outcome.failure = Some(Failure { message, result: outcome.result.clone(), ..Failure::default() });
                }
                (false, _) => outcome.failure = None,
                _ => {}
            }
        }
        Ok(())
    }
}

/// True for a task of which is written that it changes nothing: `changed_when: false`.
pub(super) fn is_harmless(task: &Task) -> bool {
    let conditions = task.changed_when.as_deref().unwrap_or_default();
    conditions.iter().any(|condition| text(condition).eq_ignore_ascii_case("false"))
}

impl Walk<'_> {
    /// What comes of a task of which nobody knows what it does: what it may touch is not known either.
    pub(super) fn doubted(&self, task: &Rc<Task>, view: &View, outcome: Outcome) -> Outcome {
        let Some(why) = outcome.unknown.clone().filter(|_| !outcome.is_laid) else { return outcome };
        let why = self.veiled(task, view, why);
        let outcome = Outcome { unknown: Some(why.clone()), ..outcome };
        let why = &why;
        if self.run.ahead.is_some() && why == super::driver::NOT_ASKED {
            self.doubt_variables(task, why);
            return Outcome { is_laid: true, ..outcome };
        }
        let args = self.run.known_arguments(task, view);
        self.doubt_variables(task, why);
        let module = registry::find(&task.module);
        let known = args.clone().unwrap_or_default();
        let touches = match module.map_or(Touches::Nothing, |module| module.touches(&known)) {
            // Who writes that a command changes nothing says that of the guest.
            Touches::Anything if is_harmless(task) => Touches::Nothing,
            touches => touches,
        };
        let name = self.task_name(task, view);
        // What is not known already keeps its own reason.
        let before = if touches == Touches::Anything { format!("what `{name}` does before it") } else { why.clone() };
        let mut forecast = self.host.forecast.borrow_mut();
        touches.effects(args.as_ref(), &before).into_iter().for_each(|effect| forecast.lay(effect));
        Outcome { is_laid: true, ..outcome }
    }

    /// A reason without what `no_log` hides.
    pub(super) fn veiled(&self, task: &Task, view: &View, why: String) -> String {
        match self.run.flag(view, "no_log").unwrap_or(true) {
            true => format!("what `{}` does, which `no_log` hides", self.task_name(task, view)),
            false => why,
        }
    }

    /// Variables that the task would set.
    fn doubt_variables(&self, task: &Task, why: &str) {
        let words = crate::play::library::entries(&task.args);
        match task.action() {
            "set_fact" => words.keys().for_each(|name| self.host.set_unknown(name, why)),
            "setup" | "gather_facts" => *self.host.unknown_facts.borrow_mut() = Some(why.to_owned()),
            "package_facts" => self.host.set_unknown("packages", why),
            "service_facts" => self.host.set_unknown("services", why),
            "getent" => {
                let database = words.get("database").map(text).unwrap_or_default();
                self.host.set_unknown(&format!("getent_{database}"), why);
            }
            _ => {}
        }
    }
}

impl super::Interpreter<'_> {
    /// The items of a `loop` or `with_…`.
    pub(super) fn loop_items(&self, repeat: &Repeat, view: &View) -> Result<Vec<Value>, Failure> {
        let scope = view.scope();
        let failed = |error: crate::template::ansible::Error| crate::play::controller::failure(&error);
        match repeat {
            Repeat::Loop(value) => {
                let items = self.engine.render_value(value, &scope).map_err(failed)?;
                match items.kind() {
                    ValueKind::Seq | ValueKind::Iterable => Ok(listed(&items)),
                    _ => {
                        let shown: String = text(&items).chars().take(60).collect();
                        Err(Failure::new(format!(
                            "Invalid data passed to 'loop', it requires a list, got this instead: {shown}. Hint: If you passed a list/dict of just one element, try adding wantlist=True to your lookup invocation or use q/query instead of lookup."
                        )))
                    }
                }
            }
            Repeat::With(name, terms) => {
                let rendered = match name.as_str() {
                    "first_found" => self.as_far_as_defined(terms, view)?.unwrap_or_default(),
                    _ => self.engine.render_value(terms, &scope).map_err(failed)?,
                };
                if rendered.is_none() || rendered.is_undefined() {
                    return Ok(vec![]);
                }
                let terms = match rendered.kind() {
                    ValueKind::Seq => listed(&rendered),
                    _ => vec![rendered],
                };
                let names: Vec<String> = (0..terms.len()).map(|index| format!("lxdeploy_term_{index}")).collect();
                let expression = format!("query('{name}', {})", names.join(", "));
                let view = view.with(names.into_iter().zip(terms).collect());
                let found = self.engine.evaluate(&expression, &view.scope()).map_err(failed)?;
                Ok(listed(&found))
            }
        }
    }

    /// What can be rendered of a value; what names something undefined is left out.
    fn as_far_as_defined(&self, value: &Value, view: &View) -> Result<Option<Value>, Failure> {
        match value.kind() {
            ValueKind::Seq => {
                let items = listed(value).into_iter().map(|item| self.as_far_as_defined(&item, view));
                let items: Vec<Option<Value>> = items.collect::<Result<_, _>>()?;
                Ok(Some(Value::from(items.into_iter().flatten().collect::<Vec<_>>())))
            }
            ValueKind::Map => {
                let mut known = Map::new();
                for (name, value) in crate::play::library::entries(value) {
                    known.extend(self.as_far_as_defined(&value, view)?.map(|value| (name, value)));
                }
                Ok(Some(map(known)))
            }
            _ => match self.engine.render_value(value, &view.scope()) {
                Ok(value) => Ok(Some(value)),
                Err(error) if error.kind == ErrorKind::Undefined => Ok(None),
                Err(error) => Err(crate::play::controller::failure(&error)),
            },
        }
    }
}
