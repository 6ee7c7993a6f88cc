package merkle

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// Checkpoint is the state of a log at a size. Signed, it commits the log's
// keeper to every entry up to it.
type Checkpoint struct {
	Origin string `json:"origin"` // which log: the name of its key
	Size   int64  `json:"size"`
	Root   Hash   `json:"root"`
	Epoch  int64  `json:"epoch"` // grows with every restore of the log from a backup
}

// Text is what is signed: origin, size, root in base64 and the extension line
// "epoch N", each ended by a newline.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\nepoch %d\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]), c.Epoch)
}

// ParseCheckpoint is the inverse of [Checkpoint.Text]. Whoever has a signed
// note uses [Verifier.Open].
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || lines[0] == "" || lines[4] != "" {
		return Checkpoint{}, errMalformed(nil)
	}
	c := Checkpoint{Origin: lines[0]}
	var err error
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 0 {
		return Checkpoint{}, errMalformed(err)
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != HashSize {
		return Checkpoint{}, errMalformed(err)
	}
	c.Root = Hash(root)
	epoch, ok := strings.CutPrefix(lines[3], "epoch ")
	if c.Epoch, err = strconv.ParseInt(epoch, 10, 64); !ok || err != nil {
		return Checkpoint{}, errMalformed(err)
	}
	if c.Text() != text {
		return Checkpoint{}, errMalformed(nil) // one text per checkpoint
	}
	return c, nil
}

func errMalformed(cause error) error {
	return towpath.E(towpath.KindInvalid, "merkle.checkpoint", "the text is not a checkpoint of a ledger").
		WithHint("a checkpoint has four lines: origin, size, root, epoch").WithCause(cause)
}

func errShrunk(older, newer Checkpoint) error {
	if older.Size == newer.Size {
		return fmt.Errorf("two roots at size %d: %v and %v", older.Size, older.Root, newer.Root)
	}
	return fmt.Errorf("size fell from %d to %d", older.Size, newer.Size)
}
