package cli

import (
	"context"
	"errors"
	"time"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

// rebuild builds the commit again, all of it: what an earlier build left says
// nothing of the commit. What an exception let pass when the release was built
// passes again, also when the exception has ended since.
func (s *session) rebuild(ctx context.Context, c *client.Client, name string, v *verifiedRelease) (err error) {
	if v.AsOf, err = v.builtAt(ctx, c, name); err != nil {
		return err
	}
	steps := s.newSteps("building")
	r := BuildRequest{Dir: s.flags.dir, Ref: string(v.Commit), Version: v.Version, Fresh: true, AsOf: v.AsOf}
	built, err := s.apps.Build(ctx, r, steps.report)
	steps.end()
	if err != nil {
		return err
	}
	if built.Close != nil {
		defer func() { err = errors.Join(err, built.Close()) }()
	}
	if v.Rebuilt = built.Digest; v.Rebuilt != v.Release {
		v.problem("Commit " + short(v.Commit) + " gives another release here: " + string(v.Rebuilt) + ".")
	}
	return nil
}

// builtAt is when the release was built, by what it was published with; zero: that
// does not say, or is lost.
func (v *verifiedRelease) builtAt(ctx context.Context, c *client.Client, name string) (time.Time, error) {
	p, err := c.Provenance(ctx, v.Project, name)
	switch towpath.KindOf(err) {
	case "":
	case towpath.KindNotFound, towpath.KindInternal:
		return time.Time{}, nil // exceptions are judged by today, which lets less pass
	default:
		return time.Time{}, err
	}
	if p.Candidate.Release != v.Release || p.Candidate.Commit != v.Commit {
		return time.Time{}, towpath.E(towpath.KindConflict, "release.verify", "%s has become another release meanwhile: %s", name, short(p.Candidate.Release)).
			WithHint("verify it again, by its digest")
	}
	return evidence.BuiltAt(p.Statement), nil
}
