#!/usr/bin/env python3
"""Runs a playbook on two twins: lxdeploy on `ours`, Ansible on `theirs`, twice each, and compares what came of it. With
VARIABLES (JSON) twice more, with those: then everything changes that they are in. Before each run lxdeploy says what it
would do (`--check --diff`): that is compared with what it does, task by task.

usage: compare.py LXDEPLOY ANSIBLE_VENV DIRECTORY PLAYBOOK [VARIABLES]

DIRECTORY holds site.yaml with the instances `ours` and `theirs`, and PLAYBOOK, whose `hosts:` is all. LXDEPLOY_REMOTE
names the server; LXD_DIR and LXD_CONF are for Ansible's connection. Prints a table; exits with 1 where they differ, and
with 3 where nothing was wrong but that Ansible failed and lxdeploy did not: on a busy machine that may be its
connection, of which `lxc exec` loses an answer now and then.
"""
import concurrent.futures, json, os, subprocess, sys

lxdeploy, venv, directory, playbook = sys.argv[1:5]
ANSIBLE_FAILED_ALONE = 3
PROJECT = os.environ.get("TWINS_PROJECT", "twins")

# What differs between any two containers, or at any two moments.
PASSED_OVER = (
    "/var/log/", "/var/cache/", "/run/", "/tmp/", "/proc/", "/sys/", "/dev/", "/root/.ansible", "/etc/machine-id",
    "/var/lib/systemd/", "/var/lib/dbus/", "/etc/hostname", "/etc/.pwd.lock", "/var/lib/apt/", "/etc/ssl/",
    "/var/lib/dpkg/", "/srv/rpm/", "/var/lib/rpm/", "/root/.rpmdb", "/var/lib/dnf/", "/etc/ld.so.cache", "/var/lib/redis/", "/var/lib/postgresql/", "/etc/hosts", "/etc/resolv.conf",
    "/usr/share/mime", "/var/lib/ntpsec", "/usr/lib/python3", "/usr/share/python", "/var/backups/", "/var/spool/cron",
    "/etc/ca-certificates", "/usr/local/share/ca-certificates", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid",
    "/etc/ssh/ssh_host", "/.ansible", "/.git/", "__pycache__", "/etc/passwd-", "/etc/group-", "systemd-hostnamed", "systemd-timedated", "/var/lib/fail2ban", "/var/lib/polkit",
)

LOOK = r"""
cd /
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run \) -prune -o -type f -printf '%m %u %g %p\n' | sort -k4 > /tmp/.files
cut -d' ' -f4- /tmp/.files | tr '\n' '\0' | xargs -0 -r sha256sum 2>/dev/null | sort -k2 > /tmp/.sums
echo == files; cat /tmp/.files
echo == sums; cat /tmp/.sums
echo == links; find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run \) -prune -o -type l -printf '%p -> %l\n' | sort
echo == directories; find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run \) -prune -o -type d -printf '%m %u %g %p\n' | sort -k4
echo == written; find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var -o -path /root \) -prune -o -type f -printf '%C@ %p\n'
echo == packages; dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n'
echo == users; sort /etc/passwd; sort /etc/group
echo == enabled; systemctl list-unit-files --no-legend --no-pager | awk '{print $1, $2}' | sort
echo == running; systemctl list-units --type=service --state=running --no-legend --no-pager --plain | awk '{print $1}' | grep -v '^user@' | sort
"""


def run(words, **more):
    return subprocess.run(words, capture_output=True, text=True, **more)


def look(host):
    done = run([lxdeploy, "exec", "site.yaml", host, "--", "sh", "-c", LOOK], cwd=directory)
    sections, name = {}, ""
    for line in done.stdout.splitlines():
        if line.startswith("== "):
            name = line[3:]
            sections[name] = []
        elif name and not any(skip in line for skip in PASSED_OVER):
            sections[name].append(line)
    return sections


COMMANDS = ("command", "shell", "raw", "script", "uri", "reboot")


def of_lxdeploy():
    """Its tasks, what it was asked, and what of it was foreseen wrongly."""
    words = [lxdeploy, "run", playbook, "site.yaml", "--limit", "ours", "--format", "json", "--diff", *extra()]
    foreseen = ended(run([*words, "--check"], cwd=directory))
    done = run(words, cwd=directory)
    events = ended(done)
    # Ansible's events say "failed" also of what a rescue or ignore_errors takes over.
    status = {"rescued": "failed", "ignored": "failed"}
    tasks = [(event["task"], status.get(event["status"], event["status"])) for event in events]
    return tasks, done, foreseen, lies(foreseen, events)


def ended(done):
    events = map(json.loads, done.stdout.splitlines())
    return [event for event in events if event["type"] == "task" and event["item"] is None]


def lies(foreseen, events):
    """Where the preview was wrong: what it calls unknown is no lie."""
    wrong, rest = [], list(events)
    doubtful = False
    for said in foreseen:
        doubtful = doubtful or said["status"] == "unknown"
        came = next((event for event in rest if event["task"] == said["task"]), None)
        if came is None:
            # What may be run need not be; and what nobody knows may fail, after which nothing is run.
            if not doubtful:
                wrong.append(f"{said['task']}: was to be {said['status']}, and was not run")
            continue
        rest = rest[rest.index(came) + 1:]
        module = said["module"].split(".")[-1]
        if said["status"] == "unknown" or module in COMMANDS and said["status"] == "changed":
            continue
        after = [[change["what"], change["after"]] for change in said["changes"]]
        # Which version there will be only new lists of packages tell.
        newest = [now if was[1] == "(the newest)" else was for was, now in zip(after, [[c["what"], c["after"]] for c in came["changes"]])]
        after = newest if len(newest) == len(after) else after
        is_now = [[change["what"], change["after"]] for change in came["changes"]]
        if said["status"] != came["status"]:
            wrong.append(f"{said['task']}: was to be {said['status']}, and is {came['status']}: {said['failure']} {after} {is_now}")
        elif said["status"] == "changed" and after != is_now:
            wrong.append(f"{said['task']}: was to become {after}, and is {is_now}")
        if said["status"] == "failed":
            break
    return wrong


def of_ansible():
    with open(os.path.join(directory, "inventory.ini"), "w") as out:
        out.write(f"theirs ansible_connection=community.general.lxd ansible_lxd_project={PROJECT} ansible_python_interpreter=/usr/bin/python3\n")
    environment = dict(
        os.environ, ANSIBLE_STDOUT_CALLBACK="ansible.posix.jsonl", ANSIBLE_HOST_KEY_CHECKING="0", ANSIBLE_NOCOWS="1", ANSIBLE_PIPELINING="1",
        ANSIBLE_LOCALHOST_WARNING="0",
        PATH=os.path.join(venv, "bin") + ":" + os.environ["PATH"], ANSIBLE_DEPRECATION_WARNINGS="0",
    )
    done = run([os.path.join(venv, "bin/ansible-playbook"), "-i", "inventory.ini", playbook, *extra()], cwd=directory, env=environment)
    tasks = []
    for line in done.stdout.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("_event", "").startswith("v2_runner_on_") and event["_event"] != "v2_runner_on_start":
            for result in event["hosts"].values():
                kind = event["_event"].rsplit("_", 1)[1]
                status = {"skipped": "skipped", "failed": "failed", "unreachable": "unreachable"}.get(kind)
                status = status or ("changed" if result.get("changed") else "ok")
                tasks.append((event["task"]["name"], status))
    return tasks, done


def extra():
    return ["-e", sys.argv[5]] if turn > 2 else []


def written(sections):
    """What of a second run was written all the same; what commands write is theirs."""
    return {line for line in sections["written"] if " /srv/every/log" not in line and "/srv/every/touched" not in line}


def short(tasks):
    # Ansible names a task by its file's module where it has no name; an included role has no line at all.
    keep = []
    for name, status in tasks:
        name = name.replace("ansible.builtin.", "")
        bare = name.split(" : ")[-1]
        if bare in ("include_tasks", "include_role", "meta", "set_stats"):
            continue
        keep.append((name, status))
    return keep


def main():
    global turn
    differs, before = 0, None
    for turn in (1, 2, 3, 4) if len(sys.argv) > 5 else (1, 2):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            ansible = pool.submit(of_ansible)
            ours, done, foreseen, wrong = of_lxdeploy()
            theirs, other = ansible.result()
        # What differed before, or was foreseen wrongly, is no fault of Ansible's.
        failed_alone = 1 if differs or wrong or done.returncode != 0 else ANSIBLE_FAILED_ALONE
        if not theirs:
            print(other.stdout[-2000:], other.stderr[-2000:])
            print("Ansible has run nothing")
            sys.exit(failed_alone)
        a, b = short(ours), short(theirs)
        print(f"run {turn}: {len(a)} tasks of lxdeploy, {len(b)} of Ansible; exit codes {done.returncode}, {other.returncode}; changed {sum(s == 'changed' for _, s in a)}, {sum(s == 'changed' for _, s in b)}")
        unknown = [event for event in foreseen if event["status"] == "unknown"]
        beyond = [event["task"] for event in unknown if event["module"].split(".")[-1] not in COMMANDS]
        print(f"foreseen: {sum(event['status'] == 'changed' for event in foreseen)} changes, {len(unknown)} unknown, {len(beyond)} beyond commands: {beyond[:8] if turn % 2 == 0 else ''}")
        if wrong:
            differs += 1
            print("foreseen wrongly:\n  " + "\n  ".join(line[:600] for line in wrong[:20]))
        if a != b:
            import difflib
            lines = list(difflib.unified_diff([f"{n}: {s}" for n, s in b], [f"{n}: {s}" for n, s in a], "ansible", "lxdeploy", lineterm="", n=1))
            differs += 1
            print("\n".join(lines[:60]))
        if done.returncode != 0:
            print(done.stderr[-3000:])
            failed = [l for l in done.stdout.splitlines() if '"failed"' in l or '"note"' in l]
            print("\n".join(l[:1500] for l in failed[-5:]))
        if other.returncode != 0:
            for line in other.stdout.splitlines():
                if "runner_on_failed" in line:
                    print(*why(json.loads(line)), sep="\n")
            print(other.stderr[-800:])
            if done.returncode == 0:
                sys.exit(failed_alone)
        mine = look("ours")
        if turn % 2 == 0 and written(mine) != before:
            differs += 1
            print(f"run {turn} has written: {sorted(written(mine) - before)[:12]}")
        before = written(mine)
        if turn % 2 == 0:
            differs += compared(mine, look("theirs"))
    sys.exit(1 if differs else 0)


def why(event):
    """What failed, of a loop its failed items, each in so many words."""
    for result in event["hosts"].values():
        for failed in [item for item in result.get("results", []) if item.get("failed")] or [result]:
            yield json.dumps(failed)[:3000]


def compared(mine, yours):
    """How many sorts of things differ between the twins."""
    differs = 0
    del mine["written"], yours["written"]
    for name in yours:
        left, right = set(yours[name]), set(mine.get(name, []))
        if left != right:
            differs += 1
            print(f"{name}: only Ansible: {sorted(left - right)[:12]}")
            print(f"{name}: only lxdeploy: {sorted(right - left)[:12]}")
    print("same: " + ", ".join(f"{len(yours[n])} {n}" for n in yours if set(yours[n]) == set(mine.get(n, []))))
    return differs


main()
