package build

import (
	"context"
	"fmt"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/towpath/towpath/internal/towpath"
)

// lock is a towpath.lock: what the project's outside references stand for. The
// kinds of today have no outside references, so a lock only adds to the
// provenance; a kind that has some resolves them here and nowhere else.
type lock struct {
	Version int         `yaml:"version"`
	Entries []lockEntry `yaml:"entries"`
	digest  towpath.Digest
}

type lockEntry struct {
	Name   string `yaml:"name"` // the reference as the project writes it
	Digest string `yaml:"digest"`
}

// readLock is nil when the commit has no lock file.
func (r *run) readLock(ctx context.Context) (*lock, error) {
	src, err := r.source.ReadFile(ctx, r.commit.ID, LockFile, r.cfg.Limits.ProjectFile)
	if towpath.KindOf(err) == towpath.KindNotFound {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return parseLock(src)
}

func parseLock(src []byte) (*lock, error) {
	wrong := func(format string, args ...any) *towpath.Error {
		return towpath.E(towpath.KindInvalid, "build.lock", "%s: %s", LockFile, fmt.Sprintf(format, args...)).
			WithHint("it is written by a tool: restore the last good one from history")
	}
	l := &lock{digest: towpath.DigestOf(src)}
	if err := yaml.UnmarshalWithOptions(src, l, yaml.Strict()); err != nil {
		return nil, wrong("it can't be read").WithCause(err)
	}
	if l.Version != 1 {
		return nil, wrong("version %d is not known; this Towpath reads 1", l.Version)
	}
	for i, e := range l.Entries {
		if e.Name == "" || !towpath.Digest(e.Digest).Valid() {
			return nil, wrong("entry %d has no name or no digest", i+1)
		}
		if slices.ContainsFunc(l.Entries[:i], func(o lockEntry) bool { return o.Name == e.Name }) {
			return nil, wrong("%q is locked twice", e.Name)
		}
	}
	return l, nil
}
