package dev

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/app/builder"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/towpath"
)

var namePattern = regexp.MustCompile(towpath.NamePattern)

// watchEvery is how often the branches are looked at.
const watchEvery = 2 * time.Second

// tryAgainEvery is how often a commit is tried again that the server could not
// take.
const tryAgainEvery = 30 * time.Second

// watcher makes a release of every new commit at the tip of an environment's
// branch, unless Towpath put it there. A commit that can't be built is logged
// once. A branch that is behind one before it when it is first looked at waits
// for what comes upstream: nobody asked for the commit that it has.
func (d *Dev) watcher() *reconcile.Loop {
	tried, met, missing := map[towpath.CommitID]bool{}, map[string]bool{}, false
	again := map[towpath.CommitID]time.Time{} // of those that only the server could not take
	return reconcile.NewLoop(reconcile.LoopConfig{Interval: watchEvery, Now: time.Now, Log: d.opts.Log},
		func(ctx context.Context, now time.Time) (bool, error) {
			repo, err := git.Open(ctx, d.opts.Root)
			if err != nil {
				return false, err
			}
			seen := false
			branches := d.branches(ctx)
			for i, branch := range branches {
				tip, err := repo.Tip(ctx, branch)
				if err != nil || tip == "" {
					continue
				}
				seen = true
				if !met[branch] {
					behind, err := behindOne(ctx, repo, tip, branches[:i])
					if err != nil {
						return false, err
					}
					met[branch], tried[tip] = true, tried[tip] || behind
				}
				if due, later := again[tip]; tried[tip] && (!later || now.Before(due)) {
					continue
				}
				known, err := d.Server.Known(ctx, d.Project, tip)
				if err != nil {
					return false, err
				}
				if !known {
					err = d.build(ctx, branch, tip)
				}
				if _, told := again[tip]; err != nil && !told {
					d.complain(branch, tip, err)
				}
				delete(again, tip)
				if passes(err) {
					again[tip] = now.Add(tryAgainEvery)
				}
				if ctx.Err() == nil {
					tried[tip] = true
				}
			}
			if !seen && !missing && len(branches) > 0 && ctx.Err() == nil {
				missing = true
				d.say("waiting for the branch %s: make it with git branch %[1]s", branches[0])
			}
			return false, nil
		})
}

// behindOne reports whether a commit is in the history of one of the branches
// and not their tip.
func behindOne(ctx context.Context, repo *git.Repository, tip towpath.CommitID, branches []string) (bool, error) {
	for _, branch := range branches {
		ahead, err := repo.Tip(ctx, branch)
		if err != nil {
			return false, err
		}
		if ahead == "" || ahead == tip {
			continue
		}
		if behind, err := repo.IsAncestor(ctx, tip, ahead); err != nil || behind {
			return behind, err
		}
	}
	return false, nil
}

// say tells who started dev what the builder does, one line at a time.
func (d *Dev) say(format string, args ...any) {
	if d.opts.Say != nil {
		d.opts.Say(fmt.Sprintf(format, args...))
	}
}

// branches are those of the environments in force, or before there are any,
// of the project file at hand.
func (d *Dev) branches(ctx context.Context) []string {
	var out []string
	st, err := d.Client.Status(ctx, d.Project, "")
	if err == nil {
		for _, e := range st.Environments {
			if e.Branch != nil {
				out = append(out, e.Branch.Name)
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	if spec, err := readSpec(d.opts.Root); err == nil && len(spec.Environments) > 0 && spec.Environments[0].Branch != "" {
		return []string{spec.Environments[0].Branch}
	}
	return nil
}

// build makes a release of a commit and publishes it.
func (d *Dev) build(ctx context.Context, branch string, tip towpath.CommitID) error {
	log := d.opts.Log.With("branch", branch, "commit", string(tip))
	built, err := builder.Build(ctx, cli.BuildRequest{Dir: d.opts.Root, Ref: branch}, nil)
	if err != nil {
		log.Error("the commit can't be built", "error", err)
		return err
	}
	out, err := Publish(ctx, d.Client, built)
	if err != nil {
		log.Error("the release can't be published", "error", err)
		return err
	}
	d.say("%s: commit %s is release %s (%s)", branch, towpath.Short(tip), out.Candidate.Version, towpath.Short(out.Release.Digest))
	log.Info("released", "release", string(out.Release.Digest), "version", out.Candidate.Version)
	return nil
}

// passes reports whether a release may be taken later as it is: the disk was full,
// or the server not there.
func passes(err error) bool {
	kind := towpath.KindOf(err)
	return err != nil && (kind == towpath.KindExhausted || kind == towpath.KindUnavailable)
}

// complain says why a commit is no release, and what to do.
func (d *Dev) complain(branch string, tip towpath.CommitID, err error) {
	if errors.Is(err, context.Canceled) {
		return // it is built when dev runs again
	}
	message, hint := towpath.PublicMessage(err)
	d.say("%s: commit %s is no release: %s", branch, towpath.Short(tip), message)
	var known *towpath.Error
	if errors.As(err, &known) && known.Fields["log"] != "" {
		for line := range strings.Lines(known.Fields["log"]) {
			d.say("  | %s", strings.TrimRight(line, "\n"))
		}
	}
	if hint != "" {
		d.say("  hint: %s", hint)
	}
}

// Publish uploads what the server lacks of a release and publishes it.
func Publish(ctx context.Context, c *client.Client, built cli.Built) (release.Published, error) {
	for _, b := range built.Blobs {
		_, err := c.HasBlob(ctx, built.Project, b.Digest)
		if towpath.KindOf(err) == towpath.KindNotFound {
			err = c.PutBlob(ctx, built.Project, b.Digest, b.Size, b.Open)
		}
		if err != nil {
			return release.Published{}, err
		}
	}
	return c.PublishRelease(ctx, built.Project, api.PublishRelease{
		Manifest: built.Manifest, Provenance: built.Provenance, Commit: built.Commit, Ref: built.Ref, Version: built.Version,
		Evidence: built.Attached(),
	})
}
