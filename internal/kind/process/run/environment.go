package run

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
)

// inherited is all that processes get of the agent's own environment.
var inherited = []string{"PATH", "HOME", "LANG", "TZ", "TMPDIR"}

func (r *Runner) baseEnv() []string {
	env := []string{}
	for _, name := range inherited {
		if v := r.cfg.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// environment is what a process of a revision sees, but for PORT. Placeholders
// are filled in with what the router says now.
func (r *Runner) environment(ctx context.Context, t towpath.Target, rev towpath.RevisionID, spec process.Spec) ([]string, error) {
	env := r.baseEnv()
	for _, name := range slices.Sorted(maps.Keys(spec.Env)) {
		v, err := r.resolve(ctx, t, name, spec.Env[name])
		if err != nil {
			return nil, err
		}
		env = append(env, name+"="+v)
	}
	return append(env, "HOST=127.0.0.1",
		"TOWPATH_PROJECT="+string(t.Project), "TOWPATH_ENVIRONMENT="+string(t.Environment),
		"TOWPATH_COMPONENT="+string(t.Component), "TOWPATH_REVISION="+string(plain(rev))), nil
}

func (r *Runner) resolve(ctx context.Context, t towpath.Target, name string, v process.Value) (string, error) {
	if v.Component == "" {
		return v.Literal, nil
	}
	if v.Output != "address" {
		return "", &kind.Failure{Message: "the variable " + name + " wants the output " + v.Output + " of " + v.Component + "; processes have the output address only"}
	}
	t.Component = towpath.ComponentName(v.Component)
	st, err := r.router.Status(ctx)
	if err != nil {
		return "", err
	}
	other, ok := st.Find(t.Key())
	if !ok || len(other.Listeners) == 0 {
		return "", towpath.E(towpath.KindUnavailable, "process.resolve", "%s has no address yet, which the variable %s needs", v.Component, name).On(t.Key()).
			WithHint("name %s in dependsOn, so that it is deployed first", v.Component)
	}
	// The last one: a provider whose address changes with this deployment has
	// opened the new one by now.
	return other.Listeners[len(other.Listeners)-1].Address, nil
}

// program finds a command's program: inside the revision's files when it is
// there, else on PATH.
func (r *Runner) program(name, files string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	if filepath.IsLocal(name) {
		p := filepath.Join(files, name)
		if fi, err := os.Stat(p); err == nil && fi.Mode().IsRegular() {
			return p, nil
		}
	}
	if !strings.Contains(name, "/") {
		for _, dir := range filepath.SplitList(r.cfg.Getenv("PATH")) {
			if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(p) {
				return p, nil
			}
		}
	}
	return "", &kind.Failure{Message: "the command " + name + " is neither in the release's files nor on this host's PATH"}
}

// workDir is where a revision's commands run.
func workDir(spec process.Spec, files string) (string, error) {
	if spec.WorkDir == "" {
		return files, nil
	}
	if !filepath.IsLocal(spec.WorkDir) {
		return "", &kind.Failure{Message: "the working folder " + spec.WorkDir + " is outside the release's files"}
	}
	return filepath.Join(files, spec.WorkDir), nil
}
