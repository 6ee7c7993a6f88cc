package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// difference is a value of a record that is another one when it is made again.
// Null is no value.
type difference struct {
	At  string `json:"at"` // "verdicts[0].outcome"
	Was any    `json:"was"`
	Is  any    `json:"is"`
}

// differences compares what was recorded with what it is now, as JSON documents:
// in the order of their members, numbers by their digits. What the record has beside
// the members of is was not made again, and is passed over.
func differences(was []byte, is any) ([]difference, error) {
	again, err := json.Marshal(is)
	if err != nil {
		return nil, err
	}
	before, err := numbered(was)
	if err != nil {
		return nil, err
	}
	now, err := numbered(again)
	if err != nil {
		return nil, err
	}
	return compared("", before, now), nil
}

// numbered reads a document whose numbers keep their digits.
func numbered(doc []byte) (out any, err error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	err = d.Decode(&out)
	return out, err
}

func compared(at string, was, is any) (out []difference) {
	switch now := is.(type) {
	case map[string]any:
		before, ok := was.(map[string]any)
		if !ok {
			break
		}
		for _, name := range members(before, now) {
			if _, made := now[name]; made || at != "" {
				out = append(out, compared(joined(at, name), before[name], now[name])...)
			}
		}
		return out
	case []any:
		before, ok := was.([]any)
		if !ok || len(before) != len(now) {
			break
		}
		for i := range now {
			out = append(out, compared(fmt.Sprintf("%s[%d]", at, i), before[i], now[i])...)
		}
		return out
	case nil, bool, string, json.Number:
		if was == is {
			return nil
		}
	}
	return []difference{{at, was, is}}
}

// members are the names in either of two objects, in order.
func members(a, b map[string]any) []string {
	var out []string
	for _, m := range []map[string]any{a, b} {
		for name := range m {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func joined(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// mostDiffers is how many differences a page names.
const mostDiffers = 20

// showDiffers says what a record has otherwise.
func showDiffers(p *page, same bool, differs []difference) {
	if same {
		return
	}
	p.line("\n%s", p.style.bad("the record says something else"))
	t := table{columns: []string{"AT", "RECORDED", "AGAIN"}}
	for _, d := range differs[:min(len(differs), mostDiffers)] {
		t.add(d.At, shortly(d.Was), shortly(d.Is))
	}
	p.table(t)
	if more := len(differs) - mostDiffers; more > 0 {
		p.line("and %d more: -o json has them", more)
	}
}

// shortly is a value as JSON, of at most a line.
func shortly(v any) string {
	const most = 100
	if v == nil {
		return dash
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if r := []rune(string(b)); len(r) > most {
		return string(r[:most]) + "…"
	}
	return string(b)
}
