package replication

import (
	"bytes"
	"context"
	"io"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/towpath"
)

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
