package git

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/towpath/towpath/internal/towpath"
)

// RemoteRef is what a ref of another repository names.
type RemoteRef struct {
	Name   string // in full: "refs/tags/v1.2.0"
	Commit towpath.CommitID
}

// LookUp asks another repository which commit a tag or branch names; an empty
// ref is the branch that its HEAD names. It reaches the network, with the user's
// own configuration of git and ssh, and never asks for a password.
func LookUp(ctx context.Context, url, ref string) (RemoteRef, error) {
	const op = "git.look-up"
	program, err := findProgram(ctx, op)
	if err != nil {
		return RemoteRef{}, err
	}
	names := []string{ref}
	switch {
	case ref == "":
		names = []string{"HEAD"}
	case !strings.HasPrefix(ref, "refs/"):
		names = []string{"refs/tags/" + ref, "refs/heads/" + ref}
	}
	args := []string{"ls-remote", "--symref", "--", url}
	for _, n := range names {
		args = append(args, n, n+"^{}")
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = "/", remoteEnvironment()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	out, err := run(ctx, op, cmd, "ls-remote")
	if exitCode(err) > 0 {
		return RemoteRef{}, towpath.E(towpath.KindUnavailable, op, "git can't read the repository %s", url).
			WithHint("try it: git ls-remote %s; it has to work without a question for a password", url).WithCause(err)
	} else if err != nil {
		return RemoteRef{}, err
	}
	return chooseRef(op, url, ref, names, string(out))
}

// chooseRef reads what ls-remote printed. A tag that is an object of its own
// stands for the commit that it is peeled to.
func chooseRef(op, url, ref string, names []string, out string) (RemoteRef, error) {
	var found []RemoteRef
	symbolic := ""
	for line := range strings.Lines(out) {
		id, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if target, ok := strings.CutPrefix(id, "ref: "); ok && name == "HEAD" {
			symbolic = target
			continue
		}
		plain, peeled := strings.CutSuffix(name, "^{}")
		if !slices.Contains(names, plain) { // ls-remote matches the ends of names too
			continue
		}
		if i := slices.IndexFunc(found, func(f RemoteRef) bool { return f.Name == plain }); i < 0 {
			found = append(found, RemoteRef{Name: plain, Commit: towpath.CommitID(id)})
		} else if peeled {
			found[i].Commit = towpath.CommitID(id)
		}
	}
	switch {
	case len(found) == 0 && ref == "":
		return RemoteRef{}, towpath.E(towpath.KindNotFound, op, "the repository %s has no commit", url).WithHint("name a tag")
	case len(found) == 0:
		return RemoteRef{}, towpath.E(towpath.KindNotFound, op, "the repository %s has neither a tag nor a branch %s", url, ref).
			WithHint("a commit has to be written in full: 40 digits")
	case len(found) > 1:
		return RemoteRef{}, towpath.E(towpath.KindInvalid, op, "%s is a tag and a branch of the repository %s", ref, url).
			WithHint("write which: refs/tags/%s", ref)
	case found[0].Name == "HEAD" && symbolic != "":
		found[0].Name = symbolic
	}
	return found[0], checkCommit(op, found[0].Commit)
}

// remoteEnvironment is the user's own, less what would point git at a
// repository here, and with nothing that asks or runs other programs than the
// transports that are named.
func remoteEnvironment() []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "GIT_") && !slices.Contains([]string{
			"GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_ASKPASS",
		}, name)
	})
	if os.Getenv("GIT_SSH_COMMAND") == "" && os.Getenv("GIT_SSH") == "" {
		env = append(env, "GIT_SSH_COMMAND=ssh -o BatchMode=yes")
	}
	return append(env, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=https:http:ssh:file")
}
