package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/app/builder"
	"github.com/towpath/towpath/internal/app/dev"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/towpath"
)

// patience is how long one thing of the story may take.
const patience = 45 * time.Second

// tell goes through the story.
func (d *demo) tell(ctx context.Context) error {
	for _, part := range []func(context.Context) error{
		d.first, d.crowd, d.second, d.careless, d.tampered, d.back, d.ledger,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// first takes the first release to prod.
func (d *demo) first(ctx context.Context) error {
	if err := d.release(ctx, "1.0.0"); err != nil {
		return err
	}
	if err := d.upstream(ctx, "1.0.0"); err != nil {
		return err
	}
	var waiting towpath.Promotion
	err := d.tree.step("prod waits for an approval", func() (string, error) {
		var err error
		waiting, err = d.waiting(ctx, "prod", "1.0.0")
		return waiting.Reason, err
	})
	if err != nil {
		return err
	}
	err = d.tree.step("ana wrote it: her own approval is refused", func() (string, error) {
		_, err := d.ana.Approve(ctx, waiting.ID, "I am sure")
		if towpath.KindOf(err) != towpath.KindForbidden {
			return "", towpath.E(towpath.KindInternal, "demo", "the author's approval was not refused").WithCause(err)
		}
		m, _ := towpath.PublicMessage(err)
		return m, nil
	})
	if err != nil {
		return err
	}
	return d.approve(ctx, waiting, "1.0.0")
}

// second takes a change to prod.
func (d *demo) second(ctx context.Context) error {
	for _, component := range []string{"api", "web"} {
		if err := os.WriteFile(filepath.Join(d.root, component, "VERSION"), []byte("1.1.0\n"), 0o644); err != nil { //nolint:gosec // a file of the project
			return err
		}
	}
	if err := d.git(ctx, "commit", "--quiet", "-am", "Sell more things"); err != nil {
		return err
	}
	if err := d.release(ctx, "1.1.0"); err != nil {
		return err
	}
	if err := d.upstream(ctx, "1.1.0"); err != nil {
		return err
	}
	waiting, err := d.waiting(ctx, "prod", "1.1.0")
	if err != nil {
		return err
	}
	d.users.since()
	return d.tree.step("ben approves, and prod moves to 1.1.0 step by step, each of them judged", func() (string, error) {
		if _, err := d.ben.Approve(ctx, waiting.ID, "looks good"); err != nil {
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
		said, err := d.byWeights(ctx, st)
		return said + " " + lost(failed, asked), err
	})
}

// back rolls prod back.
func (d *demo) back(ctx context.Context) error {
	return d.tree.step("Something is wrong: roll prod back", func() (string, error) {
		if _, err := d.ben.Rollback(ctx, d.project, "prod", api.Rollback{Reason: "the demo says so"}); err != nil {
			return "", err
		}
		st, err := d.runs(ctx, "prod", "1.0.0")
		if err != nil {
			return "", err
		}
		said, err := ask(ctx, st)
		return said + " — and on hold: " + st.Hold.Reason, err
	})
}

// release builds the tip of dev and publishes it.
func (d *demo) release(ctx context.Context, version string) error {
	return d.tree.step("A commit becomes release "+version, func() (string, error) {
		built, err := builder.Build(ctx, cli.BuildRequest{Dir: d.root, Ref: "dev", Version: version}, nil)
		if err != nil {
			return "", err
		}
		out, err := dev.Publish(ctx, d.ana, built)
		return string(out.Release.Digest), err
	})
}

// upstream waits for a release to get to staging by itself.
func (d *demo) upstream(ctx context.Context, version string) error {
	for _, env := range []towpath.EnvironmentName{"dev", "staging"} {
		err := d.tree.step(version+" goes to "+string(env)+" by itself", func() (string, error) {
			st, err := d.runs(ctx, env, version)
			if err != nil {
				return "", err
			}
			return ask(ctx, st)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// approve lets ben approve, and waits for prod.
func (d *demo) approve(ctx context.Context, p towpath.Promotion, version string) error {
	return d.tree.step("ben approves, and prod runs "+version, func() (string, error) {
		if _, err := d.ben.Approve(ctx, p.ID, "looks good"); err != nil {
			return "", err
		}
		st, err := d.runs(ctx, "prod", version)
		if err != nil {
			return "", err
		}
		return ask(ctx, st)
	})
}

// runs waits until an environment runs a version, healthy and at rest.
func (d *demo) runs(ctx context.Context, env towpath.EnvironmentName, version string) (inventory.Status, error) {
	var last inventory.Status
	err := d.until(ctx, string(env)+" runs "+version, func() (bool, error) {
		st, err := d.ana.Status(ctx, d.project, env)
		if towpath.KindOf(err) == towpath.KindNotFound {
			return false, nil
		}
		if err != nil || len(st.Environments) != 1 {
			return false, err
		}
		last = st.Environments[0]
		list, err := d.ana.Promotions(ctx, d.project, client.PromotionFilter{Environment: env})
		if err != nil {
			return false, err
		}
		for _, p := range list.Items {
			if p.Version == version && (p.Phase == towpath.PromotionFailed || p.Phase == towpath.PromotionDenied) {
				return false, towpath.E(towpath.KindDenied, "demo", "the promotion to %s is %s: %s", env, p.Phase, p.Reason)
			}
		}
		return last.Version == version && last.Phase == inventory.PhaseHealthy, nil
	})
	return last, err
}

// waiting waits until a promotion waits at its gates.
func (d *demo) waiting(ctx context.Context, env towpath.EnvironmentName, version string) (towpath.Promotion, error) {
	var found towpath.Promotion
	err := d.until(ctx, version+" waits at "+string(env), func() (bool, error) {
		list, err := d.ana.Promotions(ctx, d.project, client.PromotionFilter{Environment: env})
		if err != nil {
			return false, err
		}
		for _, p := range list.Items {
			if p.Version == version {
				found = p
			}
		}
		return found.Phase == towpath.PromotionWaiting && len(found.Verdicts) > 0, nil
	})
	return found, err
}

// until asks again and again until f holds.
func (d *demo) until(ctx context.Context, what string, f func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := f()
		if err != nil || ok {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return towpath.E(towpath.KindUnavailable, "demo", "it took too long until %s", what).
				WithHint("the log is %s", filepath.Join(d.data, "towpath.log")).WithCause(ctx.Err())
		}
	}
}

// ask sends a request to an environment's front, as its users do.
func ask(ctx context.Context, st inventory.Status) (string, error) {
	for _, c := range st.Components {
		if c.Component != "web" {
			continue
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Address+"/", nil)
		if err != nil {
			return "", err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", towpath.E(towpath.KindUnavailable, "demo", "%s does not answer at %s", st.Environment, c.Address).WithCause(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Sprintf("http://%s says %q", c.Address, strings.TrimSpace(string(body))), err
	}
	return "", towpath.E(towpath.KindInternal, "demo", "%s has no front", st.Environment)
}
