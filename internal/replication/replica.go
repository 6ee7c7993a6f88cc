package replication

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// Ready makes sure, before anything is read, that a rule of this name is there,
// in any project, and that the registry of one of these answers.
func (s *Service) Ready(ctx context.Context, name towpath.ReplicationName) error {
	const op = "replication.read"
	var rules []towpath.ReplicationRule
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		rules, err = tx.AllReplicationRules(ctx)
		return err
	})
	if err != nil {
		return err
	}
	var names []string
	var failed error
	for _, r := range rules {
		names = append(names, string(r.Name))
		if r.Name != name {
			continue
		}
		err := s.answers(ctx, r)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		failed = err
	}
	if failed != nil {
		return failed
	}
	slices.Sort(names)
	names = slices.Compact(names)
	missing := towpath.E(towpath.KindNotFound, op, "no project has the replication rule %.64q", name)
	switch guess := didyoumean.Name(string(name), names); {
	case guess != "":
		return missing.WithHint("did you mean %s? `towpath replication list` shows the rules of a project", guess)
	case len(names) == 0:
		return missing.WithHint("there is no rule at all: nothing was copied to where it could be fetched from; restore it from a backup")
	}
	return missing.WithHint("there are %s; `towpath replication list` shows where they copy to", strings.Join(names[:min(len(names), shownNames)], ", "))
}

// shownNames is how many rules an error names.
const shownNames = 10

// answers asks the registry of a rule once for something that it need not have.
func (s *Service) answers(ctx context.Context, r towpath.ReplicationRule) error {
	target, err := s.cfg.Connect(r)
	if err != nil {
		return err
	}
	if _, err = target.Resolve(ctx, replicate.Config{Attempts: 1}, "latest"); towpath.KindOf(err) == towpath.KindNotFound {
		return nil
	}
	return err
}

// Open reads content where a rule copies it: what it yields need not
// be right.
func (s *Service) Open(ctx context.Context, p towpath.ProjectName, name towpath.ReplicationName, c towpath.Stored) (io.ReadCloser, error) {
	var rule towpath.ReplicationRule
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		rule, err = tx.ReplicationRule(ctx, p, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	target, err := s.cfg.Connect(rule)
	if err != nil {
		return nil, err
	}
	d := v1.Descriptor{MediaType: c.MediaType, Digest: digest.Digest(c.Digest), Size: c.Size}
	if !c.Manifest {
		return target.Blob(ctx, d)
	}
	b, err := target.Manifest(ctx, d)
	return io.NopCloser(bytes.NewReader(b)), err
}
