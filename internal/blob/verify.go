package blob

import (
	"context"
	"errors"
	"hash"
	"io"

	"github.com/towpath/towpath/internal/towpath"
)

// verifier hands out the bytes of a blob, and the last of them only after the
// digest of the whole was checked.
type verifier struct {
	ctx     context.Context
	r       io.ReadCloser
	digest  towpath.Digest
	left    int64 // bytes not handed out yet
	sum     hash.Hash
	checked bool
	failed  error
	damaged func() error // called once, when the content is wrong
}

func newVerifier(ctx context.Context, r io.ReadCloser, d towpath.Digest, size int64, onDamage func() error) *verifier {
	return &verifier{ctx: ctx, r: r, digest: d, left: size, sum: towpath.NewHash(d.Algorithm()), damaged: onDamage}
}

// Read hands out the next bytes.
func (v *verifier) Read(p []byte) (int, error) {
	if v.failed != nil {
		return 0, v.failed
	}
	if err := v.ctx.Err(); err != nil {
		return 0, err
	}
	if v.left == 0 {
		if err := v.check(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > v.left {
		p = p[:v.left]
	}
	n, err := v.r.Read(p)
	v.sum.Write(p[:n])
	v.left -= int64(n)
	switch {
	case v.left == 0:
		if err := v.check(); err != nil {
			return 0, err
		}
		return n, nil
	case err == io.EOF: // shorter than it was
		return 0, v.fail()
	case err != nil:
		v.failed = readError("blob.read", v.digest, err)
		return 0, v.failed
	}
	return n, nil
}

// check compares the digest of what was read.
func (v *verifier) check() error {
	if v.checked {
		return v.failed
	}
	v.checked = true
	if towpath.DigestSum(v.digest.Algorithm(), v.sum) != v.digest {
		return v.fail()
	}
	return nil
}

func (v *verifier) fail() error {
	v.failed = damaged("blob.read", v.digest, v.damaged())
	return v.failed
}

// Close closes the blob.
func (v *verifier) Close() error { return v.r.Close() }

// quarantine puts a damaged blob aside, so that it is missing instead of wrong
// and can be put again. It reads the blob once more first: by now it may have
// been healed, and an error of memory is not one of the disk.
func (d *Disk) quarantine(op string, dg towpath.Digest) error {
	shard, path := d.place(dg)
	d.names.Lock()
	defer d.names.Unlock()
	f, err := d.fs.Open(path)
	if err != nil {
		return err
	}
	sum := towpath.NewHash(dg.Algorithm())
	_, err = io.Copy(sum, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if towpath.DigestSum(dg.Algorithm(), sum) == dg {
		return nil
	}
	if err := d.fs.Rename(path, path+".corrupt"); err != nil {
		return diskError(op, "the damaged blob can't be put aside", err)
	}
	return d.fs.SyncDir(shard)
}
