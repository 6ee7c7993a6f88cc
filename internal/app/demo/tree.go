package demo

import (
	"fmt"
	"io"
	"time"

	"github.com/towpath/towpath/internal/cli"
)

// tree prints what happens as steps: a title, what came of it, and the time.
type tree struct {
	out    io.Writer
	colour bool
	live   bool // a step is shown while it runs
}

func newTree(t cli.Terminal) *tree {
	return &tree{out: t.Stdout, colour: t.Colour, live: t.Interactive}
}

// step runs one step and says how it went. Its detail is one line.
func (t *tree) step(title string, f func() (detail string, err error)) error {
	began := time.Now()
	if t.live {
		fmt.Fprintf(t.out, "%s %s", t.paint("36", "▸"), title)
	}
	detail, err := f()
	if t.live {
		fmt.Fprint(t.out, "\r\x1b[K") // over what was shown of it
	}
	took := time.Since(began).Round(10 * time.Millisecond)
	if err != nil {
		fmt.Fprintf(t.out, "%s %s\n", t.paint("31", "✗"), title)
		return err
	}
	fmt.Fprintf(t.out, "%s %s %s\n", t.paint("32", "✓"), title, t.paint("2", took.String()))
	if detail != "" {
		fmt.Fprintf(t.out, "  %s %s\n", t.paint("2", "└"), detail)
	}
	return nil
}

func (t *tree) paint(code, text string) string {
	if !t.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
