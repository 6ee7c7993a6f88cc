package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Unambiguous makes sure that b is one JSON value in which no object has a name
// twice, also in other letters' case: one reader would take the first and another
// the last. Of annotations only what is the very same is twice: their names are
// anybody's, and every reader takes them to the letter. Depth bounds objects and
// arrays in each other. Its error is the end of a sentence.
func Unambiguous(b []byte, depth int) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := unambiguousValue(dec, depth, FoldName); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("something comes after its end")
	}
	return nil
}

// Values is how many values b has at most, those in others counted: each comes
// first in an object or array, or after a comma. It takes no memory, which what is
// made of b does: `{},` may be 3 bytes of b and a hundred of it. So who reads what
// others wrote asks first.
func Values(b []byte) int {
	n, text := 1, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case !text && (c == '{' || c == '[' || c == ','):
			n++
		}
	}
	return n
}

// unambiguousValue reads a value. Same maps names of its members that must not be
// there together to one.
func unambiguousValue(dec *json.Decoder, depth int, same func(string) string) error {
	t, err := dec.Token()
	if err != nil {
		return errors.New("it is no well-formed JSON")
	}
	begin, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth == 0 {
		return errors.New("it is nested too deep")
	}
	names := map[string]bool{}
	for dec.More() {
		below := FoldName
		if begin == '{' {
			name, err := newName(dec, names, same)
			if err != nil {
				return err
			}
			if FoldName(name) == FoldName("annotations") {
				below = exactly
			}
		}
		if err := unambiguousValue(dec, depth-1, below); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return errors.New("it is no well-formed JSON")
	}
	return nil
}

// newName reads the name of a member that must not be there yet.
func newName(dec *json.Decoder, names map[string]bool, same func(string) string) (string, error) {
	t, err := dec.Token()
	name, ok := t.(string)
	if err != nil || !ok {
		return "", errors.New("it is no well-formed JSON")
	}
	if names[same(name)] {
		return "", fmt.Errorf("the name %.100q comes twice", name)
	}
	names[same(name)] = true
	return name, nil
}

// exactly is for names that readers take to the letter.
func exactly(name string) string { return name }

// FoldName maps names that differ only in the case of letters to one, as
// [encoding/json] does when it looks for the field of a name.
func FoldName(name string) string { return strings.Map(fold, name) }

func fold(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}
