package registry

import (
	"context"
	"regexp"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/towpath"
)

// maxRules is how many patterns of tags that never move a project may have.
const maxRules = 32

// setTag makes a tag name an artifact, unless it never moves, and reports
// whether anything changed.
func setTag(ctx context.Context, tx Tx, r towpath.RepositoryName, tag string, d towpath.Digest, now time.Time) (bool, error) {
	created, err := tx.NewTag(ctx, r, tag, d, now)
	if err != nil {
		return false, err
	}
	was := d
	if !created {
		if was, err = tx.LockTag(ctx, r, tag); err != nil {
			return false, err
		}
	}
	// A version label may have been published while this waited for the tag:
	// it is looked for only now, when nobody else can set the tag.
	if label, err := labelled(ctx, tx, r, tag); err != nil {
		return false, err
	} else if label != "" && label != d {
		return false, immutable("registry.push", r, tag, "a version of the project, and a version never moves")
	}
	if created || was == d {
		return created, nil
	}
	if pattern, err := ruled(ctx, tx, r, tag); err != nil {
		return false, err
	} else if pattern != "" {
		return false, immutable("registry.push", r, tag, "kept from moving by the project's rule "+pattern)
	}
	return true, tx.MoveTag(ctx, r, tag, d, now)
}

func immutable(op string, r towpath.RepositoryName, tag, why string) error {
	return fail(Denied, op, "the tag %s is %s", tag, why).On(string(r)).WithHint("push under another tag")
}

// labelled is the release whose version label a tag is; empty: it is none.
func labelled(ctx context.Context, tx Tx, r towpath.RepositoryName, tag string) (towpath.Digest, error) {
	if !r.IsProjects() {
		return "", nil
	}
	label, err := tx.Version(ctx, r.Project(), towpath.TagVersion(tag))
	if towpath.KindOf(err) == towpath.KindNotFound {
		return "", nil
	}
	return label.Release, err
}

// ruled is the rule of the project that keeps a tag from moving, if any.
func ruled(ctx context.Context, tx Tx, r towpath.RepositoryName, tag string) (string, error) {
	patterns, err := tx.TagRules(ctx, r.Project())
	for _, p := range patterns {
		if matches(p, tag) {
			return p, err
		}
	}
	return "", err
}

// matches reports whether a rule is about a tag; one that can't be read any
// more is about every tag.
func matches(pattern, tag string) bool {
	re, err := regexp.Compile(pattern)
	return err != nil || re.MatchString(tag)
}

// TagRules are the rules of a project: see [Service.SetTagRules].
func (s *Service) TagRules(ctx context.Context, actor towpath.Actor, p towpath.ProjectName) ([]string, error) {
	if err := access.Check(actor, access.ProjectRead, access.Subject{Project: p}); err != nil {
		return nil, err
	}
	var patterns []string
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.Project(ctx, p); err != nil {
			return err
		}
		var err error
		patterns, err = tx.TagRules(ctx, p)
		return err
	})
	return patterns, err
}

// SetTagRules replaces the rules of a project: regular expressions (RE2) of
// tags that never move once they are set, nor are deleted.
func (s *Service) SetTagRules(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, patterns []string) error {
	const op = "registry.rules"
	if err := access.Check(actor, access.ProjectManage, access.Subject{Project: p}); err != nil {
		return err
	}
	if len(patterns) > maxRules {
		return towpath.E(towpath.KindInvalid, op, "a project has at most %d rules of tags", maxRules)
	}
	for _, pattern := range patterns {
		if _, err := regexp.Compile(pattern); err != nil || len(pattern) > maxMediaType {
			return towpath.E(towpath.KindInvalid, op, "%q is not a regular expression, or a long one", shown(pattern)).
				WithHint("use RE2 syntax, for example ^v[0-9]").WithCause(err)
		}
	}
	now := s.cfg.Now()
	ev, err := withData(event(now, actor, "registry.rules-set", towpath.RepositoryName(p), ""), map[string][]string{"immutableTags": patterns})
	if err != nil {
		return err
	}
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.Project(ctx, p); err != nil {
			return err
		}
		if err := tx.SaveTagRules(ctx, p, patterns); err != nil {
			return err
		}
		return tx.Record(ctx, ev)
	})
}
