package blob

import (
	"context"
	"crypto/rand"
	"io"
	"path/filepath"

	"github.com/towpath/towpath/internal/towpath"
)

// Put writes a blob in an order that a crash can't break: the content is
// written and synced under a name in tmp/; only then it gets the name of its
// digest, by a rename; and it is acknowledged when that name is synced too. It
// does so even if the name is there: the writer that made it may not have
// synced it yet, or its content may be damaged.
func (d *Disk) Put(ctx context.Context, expected towpath.Digest, r io.Reader, limit int64) (_ towpath.Digest, size int64, err error) {
	const op = "blob.put"
	if expected != "" {
		if err := valid(op, expected); err != nil {
			return "", 0, err
		}
	}
	if limit <= 0 {
		return "", 0, towpath.E(towpath.KindInternal, op, "a blob was put without a limit")
	}
	tmp := filepath.Join(d.tmp(), rand.Text())
	f, err := d.fs.Create(tmp)
	if err != nil {
		return "", 0, diskError(op, "a temporary file can't be made", err)
	}
	open := true
	defer func() {
		if err == nil {
			return
		}
		if open {
			_ = f.Close() // err says more
		}
		_ = d.fs.Remove(tmp) // Sweep gets what stays
	}()
	algorithm := expected.Algorithm()
	sum := towpath.NewHash(algorithm)
	size, err = d.buffers.copyLimited(ctx, io.MultiWriter(&diskWriter{w: f}, sum), r, limit)
	if err != nil {
		return "", 0, err
	}
	got := towpath.DigestSum(algorithm, sum)
	if expected != "" && got != expected {
		return "", 0, towpath.E(towpath.KindInvalid, op, "the content has digest %s, not %s", got, expected).
			On(string(expected)).WithHint("it was changed or cut off on its way: send it again")
	}
	if err := f.Sync(); err != nil {
		return "", 0, diskError(op, "the content can't be synced", err)
	}
	open = false
	if err := f.Close(); err != nil {
		return "", 0, diskError(op, "the content can't be written", err)
	}
	if err := d.name(op, tmp, got); err != nil {
		return "", 0, err
	}
	return got, size, nil
}

// name gives a synced file the name of its digest, durably.
func (d *Disk) name(op, tmp string, dg towpath.Digest) error {
	shard, path := d.place(dg)
	if err := d.ensureShard(op, d.root(dg.Algorithm()), shard); err != nil {
		return err
	}
	d.names.Lock()
	err := d.fs.Rename(tmp, path)
	d.names.Unlock()
	if err != nil {
		return diskError(op, "blob "+string(dg)+" can't be named", err)
	}
	if err := d.fs.SyncDir(shard); err != nil {
		return diskError(op, "the name of blob "+string(dg)+" can't be synced", err)
	}
	return nil
}

// ensureShard makes the directory of a blob durable before a name in it is
// acknowledged. Another process may have made it without having synced it, so
// it is synced once by each process.
func (d *Disk) ensureShard(op, root, shard string) error {
	d.names.Lock()
	defer d.names.Unlock()
	if d.shards[shard] {
		return nil
	}
	if err := d.fs.MkdirAll(shard); err != nil {
		return diskError(op, "a directory can't be made", err)
	}
	if err := d.fs.SyncDir(root); err != nil {
		return diskError(op, "a directory can't be synced", err)
	}
	d.shards[shard] = true
	return nil
}

// copyLimited copies at most limit bytes. Errors of the reader are returned as
// they are.
func (b *buffers) copyLimited(ctx context.Context, w io.Writer, r io.Reader, limit int64) (int64, error) {
	buf := b.get()
	defer b.put(buf)
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		got, err := r.Read(*buf)
		if n += int64(got); n > limit {
			return n, tooLarge("blob.put", limit)
		}
		if _, werr := w.Write((*buf)[:got]); werr != nil {
			return n, werr
		}
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

// diskWriter explains failed writes, so that they differ from failed reads of
// what is being stored.
type diskWriter struct{ w io.Writer }

func (d *diskWriter) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	if err != nil {
		err = diskError("blob.put", "the content can't be written", err)
	}
	return n, err
}
