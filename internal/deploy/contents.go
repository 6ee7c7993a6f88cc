package deploy

import (
	"context"

	"github.com/towpath/towpath/internal/towpath"
)

// contents are what releases hold, as far as it was read before a transaction:
// nothing is read from far away while an environment is locked, for whoever stops
// or goes back would wait for that.
type contents struct {
	read  map[towpath.Digest]readContent
	lacks towpath.Digest // that the transaction asked for
}

type readContent struct {
	content *towpath.ReleaseContent
	err     error
}

// noContent is the error of a release that can't be read.
type noContent struct {
	release towpath.Digest
	error
}

func (u *noContent) Unwrap() error { return u.error }

// of is what a release holds. When it was not read, the transaction is to give up
// with the error, and is run again with it.
func (c *contents) of(d towpath.Digest) (*towpath.ReleaseContent, error) {
	if r, ok := c.read[d]; ok {
		return r.content, r.err
	}
	c.lacks = d
	return nil, towpath.E(towpath.KindUnavailable, "deploy.content", "release %s was not read yet", towpath.Short(d)).WithHint("ask again")
}

// maxContents bounds how many releases one transaction asks for, one after the
// other: what is deployed, what runs, and each once more as somebody was faster.
const maxContents = 6

// withContents runs a transaction that needs to know what releases of a project
// hold, anew whenever it asks for one that was not read. One that can't be read is
// an error for the transaction to judge.
func (s *Service) withContents(ctx context.Context, run func(context.Context, func(context.Context, Tx) error) error, p towpath.ProjectName, f func(context.Context, Tx, *contents) error) error {
	c := &contents{read: map[towpath.Digest]readContent{}}
	for {
		c.lacks = ""
		err := run(ctx, func(ctx context.Context, tx Tx) error {
			err := f(ctx, tx, c)
			if err == nil && c.lacks != "" { // whatever it made of that
				_, err = c.of(c.lacks)
			}
			return err
		})
		if c.lacks == "" || len(c.read) == maxContents || ctx.Err() != nil {
			return err
		}
		content, err := s.contents.Content(ctx, p, c.lacks)
		if err != nil {
			err = &noContent{c.lacks, err}
		}
		c.read[c.lacks] = readContent{content, err}
	}
}
