package build

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/kind"
)

// reader reads decoded JSON and collects every problem on the way.
type reader struct {
	problems []kind.Problem
}

func (r *reader) problem(path, message, hint string) {
	r.problems = append(r.problems, kind.Problem{Path: path, Message: message, Hint: hint})
}

// distinct is every problem once, in the order in which they were found: what
// is wrong in a section shows again after the merge.
func (r *reader) distinct() []kind.Problem {
	var out []kind.Problem
	for _, p := range r.problems {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// parse decodes an object; nothing at all is an empty one.
func (r *reader) parse(raw json.RawMessage, what string) map[string]any {
	if len(bytes.TrimSpace(raw)) == 0 || string(bytes.TrimSpace(raw)) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		r.problem("", what+" can't be read as JSON", "")
		return nil
	}
	if _, err := d.Token(); err != io.EOF {
		r.problem("", "there is something after "+what, "")
	}
	m, ok := v.(map[string]any)
	if !ok {
		r.problem("", fmt.Sprintf("%s must be a map, and this is %s", what, kindOf(v)), "")
	}
	return m
}

// object reads the fields of one object.
type object struct {
	r      *reader
	path   string
	fields map[string]any
	bad    map[string]bool // fields of a wrong type, reported already
}

func (r *reader) object(path string, fields map[string]any) *object {
	return &object{r: r, path: path, fields: fields, bad: map[string]bool{}}
}

func (o *object) at(key string) string {
	if o.path == "" {
		return key
	}
	return o.path + "." + key
}

func (o *object) has(key string) bool { _, ok := o.fields[key]; return ok }

func (o *object) broken(key string) bool { return o.bad[key] }

// only reports the fields that are not known here.
func (o *object) only(known []string) {
	for _, key := range slices.Sorted(maps.Keys(o.fields)) {
		if !slices.Contains(known, key) {
			hint := didyoumean.Hint(key, known)
			if o.path == "" && slices.Contains(releaseKeys(), key) {
				hint = "it is the release's: write it in the component's process section"
			}
			o.r.problem(o.at(key), fmt.Sprintf("%q is not known here", key), hint)
		}
	}
}

// wrong reports a field of a wrong type.
func (o *object) wrong(key, want, hint string) {
	o.bad[key] = true
	o.r.problem(o.at(key), fmt.Sprintf("%s is wanted, and this is %s", want, kindOf(o.fields[key])), hint)
}

func (o *object) str(key, otherwise string) string {
	if !o.has(key) {
		return otherwise
	}
	s, ok := o.fields[key].(string)
	if !ok {
		o.wrong(key, "a string", "put the value in quotes")
		return otherwise
	}
	return s
}

func (o *object) strings(key string) []string {
	if !o.has(key) {
		return nil
	}
	items, ok := o.fields[key].([]any)
	if !ok {
		o.wrong(key, "a list of strings", "write [one, two]")
		return nil
	}
	var out []string
	for i, item := range items {
		s, ok := item.(string)
		if !ok {
			o.bad[key] = true
			o.r.problem(fmt.Sprintf("%s[%d]", o.at(key), i), fmt.Sprintf("a string is wanted, and this is %s", kindOf(item)), "put the value in quotes")
			continue
		}
		out = append(out, s)
	}
	return out
}

func (o *object) integer(key string, otherwise, least, most int64) int64 {
	if !o.has(key) {
		return otherwise
	}
	n, ok := o.fields[key].(json.Number)
	i, err := strconv.ParseInt(n.String(), 10, 64)
	if !ok || err != nil {
		o.wrong(key, "a whole number", "")
		return otherwise
	}
	if i < least || i > most {
		o.bad[key] = true
		o.r.problem(o.at(key), fmt.Sprintf("%d is not between %d and %d", i, least, most), "")
		return otherwise
	}
	return i
}

func (o *object) boolean(key string) bool {
	if !o.has(key) {
		return false
	}
	b, ok := o.fields[key].(bool)
	if !ok {
		o.wrong(key, "true or false", "write it without quotes")
	}
	return b
}

func (o *object) duration(key string, otherwise, least, most time.Duration) time.Duration {
	if !o.has(key) {
		return otherwise
	}
	s, ok := o.fields[key].(string)
	if !ok {
		o.wrong(key, "a duration", "write a number and its unit: 500ms, 10s, 5m, 1h30m")
		return otherwise
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil || strings.HasPrefix(s, "+"):
		o.bad[key] = true
		o.r.problem(o.at(key), fmt.Sprintf("%q is no duration", s), "write a number and its unit: 500ms, 10s, 5m, 1h30m")
		return otherwise
	case d < least || d > most:
		o.bad[key] = true
		o.r.problem(o.at(key), fmt.Sprintf("%s is not between %s and %s", d, least, most), "")
		return otherwise
	}
	return d
}

// size reads a number of bytes, or a string such as "10MiB".
func (o *object) size(key string, otherwise, least, most int64) int64 {
	s, ok := o.fields[key].(string)
	if !ok {
		return o.integer(key, otherwise, least, most)
	}
	number, unit := s, int64(1)
	for suffix, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if before, ok := strings.CutSuffix(s, suffix); ok {
			number, unit = before, n
		}
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || int64(n)*unit < least || int64(n)*unit > most {
		o.bad[key] = true
		o.r.problem(o.at(key), fmt.Sprintf("%q is no size between %d and %d bytes", s, least, most), "write a number of bytes, or 512KiB, 10MiB, 1GiB")
		return otherwise
	}
	return int64(n) * unit
}

// percent reads a part such as "1%" or "0.5%".
func (o *object) percent(key string) float64 {
	s := o.str(key, "0%")
	number, whole := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(number, 64)
	if !whole || err != nil || !(n >= 0 && n <= 100) {
		o.bad[key] = true
		o.r.problem(o.at(key), fmt.Sprintf("%q is no part in percent", s), "write a number from 0 to 100 and its sign: 1%, 0.5%")
		return 0
	}
	return n
}

// child is the object below a key; an absent one is empty.
func (o *object) child(key string) *object {
	m, ok := o.fields[key].(map[string]any)
	if !ok && o.has(key) {
		o.wrong(key, "a map", "")
	}
	return o.r.object(o.at(key), m)
}

// objects are the objects of a list.
func (o *object) objects(key string) []*object {
	if !o.has(key) {
		return nil
	}
	items, ok := o.fields[key].([]any)
	if !ok {
		o.wrong(key, "a list", "begin each item with a dash")
		return nil
	}
	var out []*object
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", o.at(key), i)
		m, ok := item.(map[string]any)
		if !ok {
			o.r.problem(at, fmt.Sprintf("a map is wanted, and this is %s", kindOf(item)), "")
			continue
		}
		out = append(out, o.r.object(at, m))
	}
	return out
}

// kindOf names the type of a JSON value for people.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "nothing (null)"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	default:
		return "a map"
	}
}
