package router

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// config is the router's memory.
type config struct {
	Generation int64         `json:"generation"`
	Routes     []route.Route `json:"routes"`
}

const configFile = "config.json"

// loadConfig reads the configuration of a folder; without a file it is empty.
func loadConfig(dir string) (config, error) {
	var c config
	b, err := os.ReadFile(filepath.Join(dir, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, towpath.E(towpath.KindInternal, "router.load", "the router's configuration can't be read").On(dir).WithCause(err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, towpath.E(towpath.KindInternal, "router.load", "the router's configuration is damaged").On(dir).WithCause(err).
			WithHint("move config.json away; the next deployment of each component writes its route again")
	}
	return c, nil
}

// save replaces the file: after it returns the configuration survives a crash
// of the machine, before it the old one does.
func (c config) save(dir string) error {
	b, err := json.MarshalIndent(c, "", " ")
	if err == nil {
		err = replaceFile(filepath.Join(dir, configFile), append(b, '\n'))
	}
	if err != nil {
		return towpath.E(towpath.KindUnavailable, "router.save", "the router's configuration can't be written").On(dir).WithCause(err).
			WithHint("check the disk's free space and the folder's permissions")
	}
	return nil
}

func replaceFile(path string, b []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
