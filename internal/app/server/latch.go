package server

import (
	"context"

	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/sqldb"
)

// latch gives releases their latch among all servers.
type latch struct{ *sqldb.Latch }

var _ release.Latch = latch{}

// Share implements [release.Latch].
func (l latch) Share(ctx context.Context) (release.Held, error) { return held(l.Latch.Share(ctx)) }

// Own implements [release.Latch].
func (l latch) Own(ctx context.Context) (release.Held, error) { return held(l.Latch.Own(ctx)) }

func held(h *sqldb.Held, err error) (release.Held, error) {
	if err != nil {
		return nil, err
	}
	return h, nil
}
