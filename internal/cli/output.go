package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/towpath"
)

// OutputSchema is the version of the JSON and YAML that commands print.
const OutputSchema = "towpath.cli/v1"

// format is how a command prints its result.
type format string

const (
	formatTable format = "table"
	formatWide  format = "wide"
	formatJSON  format = "json"
	formatYAML  format = "yaml"
	formatName  format = "name"
)

func formats() []format {
	return []format{formatTable, formatWide, formatJSON, formatYAML, formatName}
}

// forPeople reports whether it is read by people, who want to know what to do next.
func (f format) forPeople() bool { return f == formatTable || f == formatWide }

// String implements pflag.Value.
func (f *format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *format) Type() string { return "format" }

// Set implements pflag.Value.
func (f *format) Set(v string) error {
	for _, known := range formats() {
		if format(v) == known {
			*f = known
			return nil
		}
	}
	return towpath.E(towpath.KindInvalid, "", "%q is not a format", v).WithHint("%s", didyoumean.Hint(v, formats()))
}

// result is what a command found, in every form that it can be printed in.
type result struct {
	data  any      // its JSON is an object
	names []string // IDs, one a line
	table table
	show  func(p *page) // instead of table, for one thing in full
	none  string        // said on stderr when the table is empty
}

// print writes a result to stdout.
func (s *session) print(r result) error {
	switch s.flags.output {
	case formatJSON, formatYAML:
		return s.printData(r.data)
	case formatName:
		for _, n := range r.names {
			if _, err := fmt.Fprintln(s.stdout, s.style.clean(n)); err != nil {
				return err
			}
		}
		return nil
	}
	p := &page{style: s.styled(s.stdout), wide: s.flags.output == formatWide, now: s.apps.Now()}
	if !p.wide {
		p.width = terminalWidth(s.stdout)
	}
	switch {
	case r.show != nil:
		r.show(p)
	case len(r.table.rows) == 0 && r.none != "":
		s.say("%s", r.none)
		return nil
	default:
		p.table(r.table)
	}
	_, err := io.WriteString(s.stdout, p.String())
	return err
}

func (s *session) printData(data any) error {
	b, err := versioned(data)
	if err != nil {
		return err
	}
	if s.flags.output == formatYAML {
		if b, err = yaml.JSONToYAML(b); err != nil {
			return err
		}
		_, err = s.stdout.Write(append(bytes.TrimRight(b, "\n"), '\n'))
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = s.stdout.Write(out.Bytes())
	return err
}

// versioned is data as a JSON object whose first member is its schema.
func versioned(data any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil {
		return nil, err
	}
	object, ok := strings.CutPrefix(strings.TrimSpace(b.String()), "{")
	if !ok {
		return nil, towpath.E(towpath.KindInternal, "cli.print", "the result is not an object")
	}
	head := fmt.Sprintf(`{"schema":%q`, OutputSchema)
	if object != "}" {
		head += ","
	}
	return []byte(head + object), nil
}
