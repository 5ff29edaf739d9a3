//! `lxdeploy image`: images in which roles were run already.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::common::{Format, Opened, Planned, RunArgs, Selection, SiteArgs, complain, open_without_secrets};
use super::execute::reporter;
use super::say::{errln, outln};
use super::{Exit, Global};
use crate::apply::{Plays, bake};
use crate::kinds::{Object, image};
use crate::model::{Address, Event, Id, PlayEvent};
use crate::plan;
use crate::play::Settings;

/// `lxdeploy image`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, clap::Subcommand)]
enum Commands {
    /// Run an instance's roles once, and keep what they made as an image
    Bake(BakeArgs),
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "An instance is launched of the base, the tasks of its roles that are tagged `bake` are run in it, and it is\n\
    published under an alias that tells of which base and which roles it is. An instance that is made later is made of\n\
    that image where the server has it, and its roles are run as ever; those that exist are left alone. No secret is read.\n\
    `lxc image export ALIAS` takes it along to servers without a way to Debian's mirrors."
)]
struct BakeArgs {
    #[command(flatten)]
    site: SiteArgs,
    /// The instance: `api`, `api-1` or `instances.api`
    instance: String,
    /// How the image is compressed (`zstd`, `gzip`, `none` …); the server's own way where it is not said
    #[arg(long, value_name = "NAME", env = "LXDEPLOY_COMPRESSION", hide_env = true)]
    compression: Option<String>,
    #[command(flatten)]
    run: RunArgs,
}

/// The tag of the tasks that are run.
const TAG: &str = "bake";

/// Bakes an image.
pub async fn run(args: &Args, global: &Global) -> Exit {
    let Commands::Bake(args) = &args.command;
    match baking(args, global).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn baking(args: &BakeArgs, global: &Global) -> Result<Exit, Exit> {
    let refused = |reason: String| complain(global, &reason);
    let keys = args.site.values.keys.keys();
    let site = SiteArgs { plays: true, ..args.site.clone() };
    let mut opened = open_without_secrets(&site, global)?;
    let snapshot = opened.read(global).await?;
    let object = chosen(&opened, &args.instance).map_err(refused)?;
    let lifecycle = object.lifecycle.clone().filter(|lifecycle| !lifecycle.roles.is_empty());
    let lifecycle =
        lifecycle.ok_or_else(|| refused(format!("{} has no roles: there is nothing to bake", object.address)))?;
    let settings = Settings { tags: vec![TAG.to_owned()], ..Settings::default() };
    let plays = opened.plays(&snapshot, keys.clone(), settings.clone(), &[]).map_err(refused)?;
    let content = plays.content_of_roles(&object.address.key, &lifecycle).map_err(refused)?;
    let alias = plan::baked_alias(&object, &opened.site, &snapshot, &content).ok_or_else(|| {
        refused(format!("the server does not have the image of {} yet: apply --target it first", object.address))
    })?;
    let images = snapshot.all("images").any(|(_, raw)| image::alias_names(raw).contains(&alias));
    if images {
        outln!("{alias} is there already: the base and the roles are what they were.");
        return Ok(Exit::Done);
    }

    // What is there already is left as it is: nothing of it may be written without the site's secrets.
    let oven = plan::oven(&object, &format!("{alias}-oven"));
    let id = Id {
        project: snapshot.projects.effective(&oven.project, oven.kind.place()),
        pool: None,
        name: oven.name.clone(),
    };
    let address = oven.address.clone();
    let there = there(&opened, &snapshot);
    let objects = std::mem::take(&mut opened.site.objects).into_iter().filter(|other| other.lifecycle.is_none());
    opened.site.objects = objects
        .map(|other| Object { external: other.external || there.contains(&other.address), ..other })
        .chain([oven])
        .collect();
    opened.site.groups.clear();
    opened.site.playbooks.clear();
    let selection = Selection { targets: vec![address], skip_tasks: true, ..Selection::default() };
    let options = selection.options(false).map_err(refused)?;
    let built = plan::build(&opened.site, &snapshot, &options);
    if !built.refused.is_empty() {
        opened.show(&built, None, Format::Text, global);
        return Err(refused("the instance cannot be launched; nothing was written".into()));
    }
    if let Some(secret) = built.changes.iter().find(|change| change.diff.iter().any(|field| field.sensitive)) {
        return Err(refused(format!("{} is not there yet and holds a secret: apply it first", secret.address)));
    }
    let description = format!(
        "{}, baked for {}",
        plural(&lifecycle.roles.iter().map(|role| role.name.as_str()).collect::<Vec<_>>()),
        object.address.key
    );
    let client = opened.client.clone();
    let planned = Planned { opened, snapshot, options, plan: built, keys };
    let launched = planned.run(&args.run, true, global).await;
    if launched != Exit::Done {
        return Err(launched);
    }
    let baked = Oven { client: &client, id: &id, plays: &plays, global, args };
    let result = baked.bake(&lifecycle, &alias, &description).await;
    if let Err(error) = bake::remove(&client, &id).await {
        errln!("{id} stays: {error}");
    }
    let fingerprint = result.map_err(refused)?;
    outln!("Baked {alias} ({}): {description}.", fingerprint.chars().take(12).collect::<String>());
    Ok(Exit::Done)
}

struct Oven<'a> {
    client: &'a crate::lxd::Client,
    id: &'a Id,
    plays: &'a Plays,
    global: &'a Global,
    args: &'a BakeArgs,
}

impl Oven<'_> {
    async fn bake(
        &self,
        lifecycle: &crate::kinds::Lifecycle,
        alias: &str,
        description: &str,
    ) -> Result<String, String> {
        let reporter = RefCell::new(reporter(self.args.run.format, self.plays.shelf.library.masker(), self.global));
        let tell = |event: PlayEvent| reporter.borrow_mut().event(&Event::Play(event));
        self.plays.bake(self.client, self.id, lifecycle, &tell).await?;
        bake::tidy(self.client, self.id).await?;
        drop(reporter);
        let compression = self.args.compression.as_deref();
        bake::publish(self.client, self.id, alias, description, compression).await.map_err(|error| error.to_string())
    }
}

/// The instance that is meant; of a group its first.
fn chosen(opened: &Opened, name: &str) -> Result<Object, String> {
    let key = name.strip_prefix("instances.").unwrap_or(name);
    let address = Address::new("instances", key);
    let address = opened.site.groups.get(&address).and_then(|members| members.first()).unwrap_or(&address);
    let found = opened.site.objects.iter().find(|object| object.address == *address && !object.external);
    found.cloned().ok_or_else(|| {
        let all = opened.site.objects.iter().filter(|object| object.lifecycle.is_some());
        let names: Vec<&str> = all.map(|object| object.address.key.as_str()).collect();
        format!("there is no instance `{key}`; there are {}", names.join(", "))
    })
}

/// The site's objects that the server has.
fn there(opened: &Opened, snapshot: &crate::live::Snapshot) -> BTreeSet<Address> {
    let id = |object: &Object| Id {
        project: snapshot.projects.effective(&object.project, object.kind.place()),
        pool: object.pool.clone(),
        name: object.name.clone(),
    };
    let is_there = |object: &&Object| snapshot.get(object.kind.section(), &id(object)).is_some();
    let objects = opened.site.objects.iter().filter(|object| object.kind.section() != "images");
    objects.filter(is_there).map(|object| object.address.clone()).collect()
}

fn plural(roles: &[&str]) -> String {
    let s = if roles.len() == 1 { "" } else { "s" };
    format!("role{s} {}", roles.join(", "))
}
