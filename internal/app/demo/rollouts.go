package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/towpath"
)

// careful has prod's api replaced by a canary, judged by its errors, and
// repaired when somebody changes it. Elsewhere nobody would notice.
func (d *demo) careful() error {
	return d.edit("towpath.yaml",
		"project: shop\n", "project: shop\n\nobjectives:\n  - {name: errors, component: api, kind: errors, target: 0.99, minSamples: 10, critical: true}\n",
		"    path: api\n", "    path: api\n    drift: repair\n    rollout:\n      strategy: canary\n      interval: 1s\n"+
			"      steps: [{weight: 5, for: 1s}, {weight: 25, for: 1s}, {weight: 50, for: 1s}]\n",
		"    branch: dev\n", "    branch: dev\n    rollout: blue-green\n",
		"    branch: staging\n", "    branch: staging\n    rollout: blue-green\n",
	)
}

// edit replaces texts of a file of the project, each old one followed by the new
// one.
func (d *demo) edit(name string, texts ...string) error {
	path := filepath.Join(d.root, name)
	b, err := os.ReadFile(path)
	if err != nil {
		return towpath.E(towpath.KindUnavailable, "demo", "the sample project can't be read").On(path).WithCause(err)
	}
	for i := 0; i+1 < len(texts); i += 2 {
		if !strings.Contains(string(b), texts[i]) {
			return towpath.E(towpath.KindInternal, "demo", "the sample project has no %q", texts[i]).On(path)
		}
	}
	text := strings.NewReplacer(texts...).Replace(string(b))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // a file of the project
		return towpath.E(towpath.KindUnavailable, "demo", "the sample project can't be changed").On(path).WithCause(err)
	}
	return nil
}

// crowd has users ask for prod's api from now on.
func (d *demo) crowd(ctx context.Context) error {
	st, err := d.runs(ctx, "prod", "1.0.0")
	if err != nil {
		return err
	}
	for _, c := range st.Components {
		if c.Component == "api" {
			d.users = newUsers(c.Address)
			go d.users.run(ctx)
			return nil
		}
	}
	return towpath.E(towpath.KindInternal, "demo", "prod has no api")
}

// careless takes a release to prod that passes its checks and fails every second
// user.
func (d *demo) careless(ctx context.Context) error {
	if err := os.WriteFile(filepath.Join(d.root, "api", "VERSION"), []byte("1.2.0\n"), 0o644); err != nil { //nolint:gosec // a file of the project
		return err
	}
	if err := os.WriteFile(filepath.Join(d.root, "api", "behaviour", "fail-some"), nil, 0o644); err != nil { //nolint:gosec // a file of the project
		return err
	}
	for _, args := range [][]string{{"add", "."}, {"commit", "--quiet", "-m", "Sell to every second one"}} {
		if err := d.git(ctx, args...); err != nil {
			return err
		}
	}
	if err := d.release(ctx, "1.2.0"); err != nil {
		return err
	}
	if err := d.upstream(ctx, "1.2.0"); err != nil {
		return err
	}
	waiting, err := d.waiting(ctx, "prod", "1.2.0")
	if err != nil {
		return err
	}
	return d.tree.step("ben approves, users are hurt, and prod goes back by itself", func() (string, error) {
		d.users.since()
		if _, err := d.ben.Approve(ctx, waiting.ID, "it passed its checks"); err != nil {
			return "", err
		}
		last, err := d.deployed(ctx, "prod goes back", func(x towpath.Deployment) bool {
			return x.Version == "1.2.0" && x.Phase == towpath.DeploymentRolledBack
		})
		if err != nil {
			return "", err
		}
		st, err := d.runs(ctx, "prod", "1.1.0")
		if err != nil {
			return "", err
		}
		if last.Recovery == nil || st.Hold == nil {
			return "", towpath.E(towpath.KindInternal, "demo", "prod went back, and nobody knows why")
		}
		asked, failed := d.users.since()
		return fmt.Sprintf("%s; found out in %.1f s and back in %.1f s more — and on hold: %s",
			lost(failed, asked), last.Recovery.ToDetect().Seconds(), last.Recovery.ToRestore().Seconds(), st.Hold.Reason), nil
	})
}

// tampered changes a file of what prod runs, and waits for its repair.
func (d *demo) tampered(ctx context.Context) error {
	return d.tree.step("Somebody edits a file of what prod runs: it is replaced", func() (string, error) {
		d.users.since()
		path, err := d.fileOf(ctx, "1.1.0", "api", "VERSION")
		if err != nil {
			return "", err
		}
		if err := overwrite(path, "6.6.6\n"); err != nil {
			return "", towpath.E(towpath.KindInternal, "demo", "the file can't be edited").On(path).WithCause(err)
		}
		seen := ""
		_, err = d.deployed(ctx, "prod is repaired", func(x towpath.Deployment) bool {
			if x.Kind == towpath.DeploymentRepair && seen == "" {
				seen = x.Cause
			}
			return x.Kind == towpath.DeploymentRepair && x.Phase == towpath.DeploymentSucceeded
		})
		if err != nil {
			return "", err
		}
		st, err := d.runs(ctx, "prod", "1.1.0")
		if err != nil {
			return "", err
		}
		asked, failed := d.users.since()
		if failed > 0 {
			return "", towpath.E(towpath.KindInternal, "demo", "%s", lost(failed, asked))
		}
		said, err := ask(ctx, st)
		return fmt.Sprintf("%s; %s; %s", seen, said, lost(failed, asked)), err
	})
}

// fileOf is where a file of a component of a release lies in the agent's folder.
func (d *demo) fileOf(ctx context.Context, version string, name towpath.ComponentName, file string) (string, error) {
	rel, err := d.ana.Release(ctx, d.project, version)
	if err != nil {
		return "", err
	}
	if rel.Content == nil {
		return "", towpath.E(towpath.KindInternal, "demo", "release %s has no content", version)
	}
	c, _ := rel.Content.Component(name)
	return filepath.Join(d.data, "agent", "files", c.Layer.Hex(), "root", file), nil
}

// overwrite changes a file that is read-only, in a folder that is too.
func overwrite(path, text string) error {
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Chmod(path, 0o444) //nolint:gosec // as it was
}

// deployed waits until one of prod's deployments, the newest first, is as it is
// to be.
func (d *demo) deployed(ctx context.Context, what string, ok func(towpath.Deployment) bool) (towpath.Deployment, error) {
	var found towpath.Deployment
	err := d.until(ctx, what, func() (bool, error) {
		list, err := d.ana.Deployments(ctx, d.project, "prod", client.Page{})
		if err != nil {
			return false, err
		}
		for _, x := range list.Items {
			if ok(x) {
				found = x
				return true, nil
			}
		}
		return false, nil
	})
	return found, err
}

// byWeights says how the traffic of the newest deployment of a version moved,
// and how that was judged.
func (d *demo) byWeights(ctx context.Context, st inventory.Status) (string, error) {
	last, err := d.deployed(ctx, "prod is deployed", func(x towpath.Deployment) bool { return x.Version == st.Version })
	if err != nil {
		return "", err
	}
	for _, r := range last.Components {
		if r.Component != "api" || r.Canary == nil || r.Canary.Judgement == nil {
			continue
		}
		var weights []string
		for _, s := range r.Steps {
			if s.Verb == towpath.VerbShift && s.Phase == towpath.OperationSucceeded {
				weights = append(weights, fmt.Sprint(s.Weight))
			}
		}
		return strings.Join(append(weights, "100 %"), " → ") + "; " + r.Canary.Judgement.Sentence, nil
	}
	return "", towpath.E(towpath.KindInternal, "demo", "the traffic of prod's api did not move by steps")
}
