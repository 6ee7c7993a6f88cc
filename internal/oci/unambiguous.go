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

// unambiguous makes sure that b is one JSON value in which no object has a name
// twice, also in other letters' case: one reader would take the first and another
// the last. Depth bounds objects and arrays in each other.
func unambiguous(b []byte, depth int) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := unambiguousValue(dec, depth); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("something comes after its end")
	}
	return nil
}

func unambiguousValue(dec *json.Decoder, depth int) error {
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
		if begin == '{' {
			if err := newName(dec, names); err != nil {
				return err
			}
		}
		if err := unambiguousValue(dec, depth-1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return errors.New("it is no well-formed JSON")
	}
	return nil
}

// newName reads the name of a member that must not be there yet.
func newName(dec *json.Decoder, names map[string]bool) error {
	t, err := dec.Token()
	name, ok := t.(string)
	if err != nil || !ok {
		return errors.New("it is no well-formed JSON")
	}
	folded := FoldName(name)
	if names[folded] {
		return fmt.Errorf("the name %.100q comes twice", name)
	}
	names[folded] = true
	return nil
}

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
