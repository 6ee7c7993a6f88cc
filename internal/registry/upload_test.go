package registry_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// lossy is a store whose next answer to a commit is lost, after it was done or
// instead of it.
type lossy struct {
	registry.Store
	lose, done bool
}

var errLost = towpath.E(towpath.KindUnavailable, "test", "the answer was lost")

func (l *lossy) Update(ctx context.Context, f func(context.Context, registry.Tx) error) error {
	if !l.lose {
		return l.Store.Update(ctx, f)
	}
	l.lose = false
	if !l.done {
		return errLost
	}
	return errors.Join(l.Store.Update(ctx, f), errLost)
}

// stuck is a staging area that can't remove anything.
type stuck struct{ *blob.Staging }

func (stuck) Remove(context.Context, []blob.Piece) error { return errors.New("the disk does not work") }

// TestService_Append_unknown: when nobody knows whether a piece was recorded it stays,
// and the upload goes on from what the record says.
func TestService_Append_unknown(t *testing.T) {
	for name, done := range map[string]bool{"it was": true, "it was not": false} {
		t.Run(name, func(t *testing.T) {
			each(t, registry.Config{}, func(t *testing.T, w *world) {
				ctx := t.Context()
				staging, err := blob.NewStaging(blob.DiskConfig{Dir: filepath.Join(w.dir, "uploads")})
				if err != nil {
					t.Fatal(err)
				}
				l := &lossy{Store: store.For[registry.Tx](w.store), done: done}
				s := registry.New(registry.Config{Now: func() time.Time { return w.now }}, l, w.blobs, stuck{staging}, nothing{}, nothing{})
				u := w.begin()
				if u, err = s.Append(ctx, w.ana, repo, u.ID, registry.Span{}, strings.NewReader("first, ")); err != nil {
					t.Fatal(err)
				}
				l.lose = true
				// stuck would say that it was asked to remove the piece.
				got, err := s.Append(ctx, w.ana, repo, u.ID, registry.Span{}, strings.NewReader("second"))
				if err == nil || !errors.Is(err, errLost) || strings.Contains(err.Error(), "disk") {
					t.Errorf("got %v", err)
				}
				if got.Size != u.Size || len(got.Pieces) != len(u.Pieces) {
					t.Errorf("it says that the upload is %+v, and it was %+v", got, u)
				}
				now, err := s.Status(ctx, w.ana, repo, u.ID)
				if err != nil || (now.Size > u.Size) != done {
					t.Fatalf("it is %+v, %v", now, err)
				}
				rest := "first, second"[now.Size:]
				whole := towpath.DigestOf([]byte("first, second"))
				if err := s.Finish(ctx, w.ana, repo, u.ID, whole, registry.Span{}, strings.NewReader(rest)); err != nil {
					t.Errorf("what can't be tidied up is no failure: %v", err)
				}
				if _, err := s.Blob(ctx, w.ana, repo, whole); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
