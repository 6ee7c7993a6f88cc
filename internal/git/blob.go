package git

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // git's own object names
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os/exec"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// blobs reads blobs, one after another, through one git process.
type blobs struct {
	ctx     context.Context // of the process, for explaining why it ended
	stop    context.CancelFunc
	op      string
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	stderr  *tail
	current *blob
	asked   chan struct{} // closed when all was asked for ahead; nil: ask on opening
}

func (r *Repository) blobs(ctx context.Context, op string) (*blobs, error) {
	own, stop := context.WithCancel(ctx)
	b := &blobs{ctx: ctx, stop: stop, op: op, stderr: &tail{limit: maxStderr}}
	b.cmd = r.command(own, input{}, "cat-file", "--batch")
	b.cmd.Stderr = b.stderr
	var out io.ReadCloser
	var err error
	if b.in, err = b.cmd.StdinPipe(); err == nil {
		if out, err = b.cmd.StdoutPipe(); err == nil {
			err = b.cmd.Start()
		}
	}
	if err != nil {
		stop()
		return nil, failure(ctx, op, "cat-file", "", err)
	}
	b.out = bufio.NewReaderSize(out, 128<<10)
	return b, nil
}

// askAhead asks for the files among entries, which must then be opened in that
// order, each of them: git reads the next while the caller writes the last.
func (b *blobs) askAhead(entries []Entry) {
	b.asked = make(chan struct{})
	go func() {
		defer close(b.asked)
		for _, e := range entries {
			if e.IsLink() {
				continue
			}
			if _, err := io.WriteString(b.in, e.OID+"\n"); err != nil {
				return // git ended: whoever reads sees that
			}
		}
	}()
}

// close ends the process; what was not read is thrown away.
func (b *blobs) close() {
	_ = b.in.Close()
	b.stop()
	_ = b.cmd.Wait() // stopped on purpose: how it ended says nothing
	if b.asked != nil {
		<-b.asked
	}
}

// open starts to read one blob; the one opened before ends.
func (b *blobs) open(e Entry) (*blob, error) {
	if b.current != nil {
		if err := b.current.Close(); err != nil {
			return nil, err
		}
	}
	if b.asked == nil {
		if _, err := io.WriteString(b.in, e.OID+"\n"); err != nil {
			return nil, b.broken(err)
		}
	}
	header, err := b.out.ReadString('\n')
	if err != nil {
		return nil, b.broken(err)
	}
	if header != fmt.Sprintf("%s blob %d\n", e.OID, e.Size) {
		return nil, partial(b.op, towpath.E(towpath.KindInternal, b.op, "the content of %q is not in the repository", e.Path).
			WithHint("`git fsck` says what is missing or damaged").
			WithCause(&CommandError{Command: "cat-file", Stderr: b.stderr.String()}))
	}
	sum := sha1.New() //nolint:gosec // as above
	if len(e.OID) == hex.EncodedLen(sha256.Size) {
		sum = sha256.New()
	}
	fmt.Fprintf(sum, "blob %d\x00", e.Size)
	b.current = &blob{from: b, entry: e, left: e.Size, sum: sum}
	return b.current, nil
}

func (b *blobs) broken(err error) error {
	if b.ctx.Err() != nil {
		return failure(b.ctx, b.op, "cat-file", "", err)
	}
	return towpath.E(towpath.KindInternal, b.op, "git cat-file ended early").
		WithHint("`git fsck` says what is missing or damaged").
		WithCause(&CommandError{Command: "cat-file", Code: -1, Stderr: strings.TrimSpace(b.stderr.String())})
}

// blob is the content of one file. At its end the bytes that were read are
// checked against the object's name; git itself does not do that on reading.
type blob struct {
	from  *blobs
	entry Entry
	left  int64
	sum   hash.Hash
	ended bool
	err   error
}

func (b *blob) Read(p []byte) (int, error) {
	if b.ended {
		return 0, b.err
	}
	if b.left == 0 {
		b.end()
		return 0, b.err
	}
	n, err := b.from.out.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.sum.Write(p[:n])
	if err != nil {
		b.ended, b.err = true, b.from.broken(err)
		return n, b.err
	}
	return n, nil
}

func (b *blob) end() {
	b.ended, b.err = true, io.EOF
	if _, err := b.from.out.Discard(1); err != nil { // the newline after the content
		b.err = b.from.broken(err)
	} else if hex.EncodeToString(b.sum.Sum(nil)) != b.entry.OID {
		b.err = towpath.E(towpath.KindInternal, b.from.op, "the stored content of %q is damaged: it does not have its object ID", b.entry.Path).
			WithHint("restore the repository from another clone; `git fsck` lists the damage")
	}
}

// Close reads to the end, so that the next blob can follow.
func (b *blob) Close() error {
	if _, err := io.Copy(io.Discard, b); err != nil {
		return err
	}
	return nil
}
