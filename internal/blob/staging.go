package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Piece is a part of a blob on its way into a store.
type Piece struct {
	Name string `json:"name"` // in the [Staging]
	Size int64  `json:"size"` // bytes
}

// Staging keeps bytes that are on their way to become blobs, so that an upload
// survives a restart: each piece is a file of its own, which is never changed.
// So two writers can't spoil each other's pieces, and a crash leaves no piece
// that was acknowledged and is not whole. Who owns it keeps the list of pieces;
// they are checked as a whole when they are put into a [Store].
type Staging struct {
	dir     string
	fs      FS
	buffers buffers
}

// NewStaging makes the directory of a staging area.
func NewStaging(cfg DiskConfig) (*Staging, error) {
	s := &Staging{dir: filepath.Clean(cfg.Dir), fs: cfg.FS}
	if s.fs == nil {
		s.fs = OS{}
	}
	if err := s.fs.MkdirAll(s.dir); err != nil {
		return nil, diskError("blob.open-staging", "the directory "+s.dir+" can't be made", err)
	}
	if err := s.fs.SyncDir(filepath.Dir(s.dir)); err != nil {
		return nil, diskError("blob.open-staging", "the directory "+s.dir+" can't be synced", err)
	}
	return s, nil
}

// Add keeps what r yields as a piece of an upload, whose name has no dot. When
// it returns a piece that is not empty, the piece MUST survive a crash of the
// machine, also when it returns the error of r beside it: the piece is then
// what came before. More than limit bytes are refused with [ErrLimit].
func (s *Staging) Add(ctx context.Context, upload string, r io.Reader, limit int64) (_ Piece, err error) {
	const op = "blob.stage"
	p := Piece{Name: upload + "." + rand.Text()}
	path := filepath.Join(s.dir, p.Name)
	f, err := s.fs.Create(path)
	if err != nil {
		return Piece{}, diskError(op, "a file can't be made", err)
	}
	from := &failing{r: r}
	p.Size, err = s.buffers.copyLimited(ctx, &diskWriter{w: f}, from, limit)
	broken := from.err
	if p.Size == 0 || err != nil && broken == nil && ctx.Err() == nil {
		return Piece{}, errors.Join(err, f.Close(), s.fs.Remove(path))
	}
	if err := f.Sync(); err != nil {
		return Piece{}, errors.Join(diskError(op, "the content can't be synced", err), f.Close(), s.fs.Remove(path))
	}
	if err := f.Close(); err != nil {
		return Piece{}, errors.Join(diskError(op, "the content can't be written", err), s.fs.Remove(path))
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return Piece{}, errors.Join(diskError(op, "the name of a file can't be synced", err), s.fs.Remove(path))
	}
	return p, err
}

// failing remembers the error of a reader.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// Open reads pieces one after the other; one file is open at a time.
func (s *Staging) Open(ctx context.Context, pieces []Piece) io.ReadCloser {
	return &pieceReader{ctx: ctx, left: pieces, next: func(p Piece) (io.ReadCloser, error) {
		f, err := s.fs.Open(filepath.Join(s.dir, p.Name))
		if err != nil {
			return nil, err // without the file that is nil
		}
		return f, nil
	}}
}

// pieceReader reads pieces one after the other.
type pieceReader struct {
	ctx  context.Context
	next func(Piece) (io.ReadCloser, error)
	left []Piece
	open io.ReadCloser
}

func (r *pieceReader) Read(p []byte) (int, error) {
	for {
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		if r.open == nil {
			if len(r.left) == 0 {
				return 0, io.EOF
			}
			f, err := r.next(r.left[0])
			if err != nil {
				return 0, pieceError(err)
			}
			r.open, r.left = f, r.left[1:]
		}
		n, err := r.open.Read(p)
		if n > 0 || err == nil {
			return n, nil
		}
		if !errors.Is(err, io.EOF) {
			return 0, pieceError(err)
		}
		if err := r.Close(); err != nil {
			return 0, pieceError(err)
		}
	}
}

// pieceError keeps errors that say what is wrong and explains the others.
func pieceError(err error) error {
	var known *towpath.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return diskError("blob.stage", "a piece of the upload can't be read", err)
}

// Close closes the piece that is open.
func (r *pieceReader) Close() error {
	if r.open == nil {
		return nil
	}
	err := r.open.Close()
	r.open = nil
	return err
}

// Remove removes pieces; those that are gone are removed already.
func (s *Staging) Remove(_ context.Context, pieces []Piece) error {
	var failed []error
	for _, p := range pieces {
		if err := s.fs.Remove(filepath.Join(s.dir, p.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, diskError("blob.stage", "a piece of an upload can't be removed", err))
		}
	}
	return errors.Join(failed...)
}

// Sweep removes the pieces, last written before a time, of uploads that nobody
// knows, and says how many there were: a crash left them between their being
// written and recorded, or between their record's and their own removal.
func (s *Staging) Sweep(ctx context.Context, before time.Time, known func(upload string) (bool, error)) (int, error) {
	entries, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return 0, diskError("blob.stage", "the staging area can't be listed", err)
	}
	n := 0
	for _, e := range entries {
		upload, _, ours := strings.Cut(e.Name(), ".")
		info, err := e.Info()
		if err != nil || !ours || !info.ModTime().Before(before) {
			continue
		}
		used, err := known(upload)
		if err != nil {
			return n, err
		}
		if used {
			continue
		}
		if err := s.Remove(ctx, []Piece{{Name: e.Name()}}); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
