// Package examples holds projects that the demo and the tests run.
//
// A project's go.mod is kept as go.mod.txt: with a go.mod of its own the folder
// would not be a part of this module, could not be embedded, and its sources
// would not be compiled with ours. [Write] gives the file its name back.
package examples

import (
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

//go:embed all:shop
var files embed.FS

// Shop is the sample project: two HTTP servers, api and web, and three
// environments.
const Shop = "shop"

// Projects names the projects that [Write] knows.
func Projects() []string { return []string{Shop} }

// Write writes a project's files into a directory, which is made if need be.
// Files that are there already are not overwritten: that is an error.
func Write(project, dir string) error {
	sub, err := fs.Sub(files, project)
	if err != nil {
		return err
	}
	return fs.WalkDir(sub, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(strings.TrimSuffix(name, ".txt")))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		content, err := fs.ReadFile(sub, name)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		return errors.Join(err, f.Close())
	})
}
