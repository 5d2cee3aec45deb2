package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"unicode/utf8"

	"crosstalk/cmd/crosstalk/remote"
	"crosstalk/models"
)

// dataCommand is about texts that outgrow a message.
type dataCommand struct {
	Put dataPutCommand    `cmd:"" help:"Share a file, or standard input, under a key."`
	Get dataGetCommand    `cmd:"" help:"Write what is shared under a key to standard output, or to a file."`
	Ls  dataListCommand   `cmd:"" help:"List what is shared."`
	Rm  dataRemoveCommand `cmd:"" help:"Remove what is shared under a key."`
}

type dataPutCommand struct {
	Key         string      `arg:"" name:"data-key" help:"The key."`
	File        string      `arg:"" optional:"" help:"The file. Without it, or with -, standard input."`
	Description string      `placeholder:"TEXT" help:"What it is."`
	Channel     string      `placeholder:"NAME" help:"The channel that it belongs to."`
	IfVersion   *int64      `placeholder:"N" help:"Only over this version; 0: only if there is none."`
	JSON        bool        `name:"json" help:"Print JSON."`
	Speaker     speaker     `embed:""`
	Hub         hubSettings `embed:""`
}

// Run stores it.
func (d *dataPutCommand) Run(p *process) error {
	as, err := d.Speaker.name(p)
	if err != nil {
		return err
	}
	content, err := d.content(p)
	if err != nil {
		return err
	}
	body := map[string]any{"key": d.Key, "content": content, "sender": as, "description": d.Description, "channel": d.Channel}
	if d.IfVersion != nil {
		body["if_version"] = *d.IfVersion
	}
	return d.Hub.do(p, created, func(b *bus) error {
		var stored struct {
			OK        bool   `json:"ok"`
			Key       string `json:"key"`
			SizeBytes int64  `json:"size_bytes"`
			Version   int64  `json:"version"`
		}
		if err := b.Post(p.ctx, "/api/data", body, &stored, false); err != nil {
			return err
		}
		if d.JSON {
			return newPrinter(p, true).object(stored)
		}
		_, err := fmt.Fprintf(p.stdout, "%s: version %d, %d bytes\n", line(stored.Key), stored.Version, stored.SizeBytes)
		return err
	})
}

func (d *dataPutCommand) content(p *process) (text string, err error) {
	in := p.stdin
	if d.File != "" && d.File != "-" {
		f, err := os.Open(d.File)
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	if text, err = input(in, models.MaxData); err != nil {
		return "", err
	}
	switch {
	case text == "":
		return "", misuse("there is nothing to share: the input is empty")
	case !utf8.ValidString(text):
		return "", misuse("shared data is text in UTF-8, and the input is not: encode it first, for instance with base64")
	}
	return text, nil
}

type dataGetCommand struct {
	Key    string      `arg:"" name:"data-key" help:"The key."`
	Output string      `short:"o" placeholder:"FILE" complete:"file" help:"Write it there, in one piece or not at all."`
	JSON   bool        `name:"json" help:"Print JSON, with who shared it and when."`
	Hub    hubSettings `embed:""`
}

// Run writes the content as it is, but to a terminal only what is text.
func (d *dataGetCommand) Run(p *process) error {
	return d.Hub.do(p, there, func(b *bus) error {
		var item models.SharedData
		if err := b.Get(p.ctx, "/api/data"+remote.Path(d.Key), nil, &item); err != nil {
			return err
		}
		out := newPrinter(p, d.JSON)
		write := func() error { return out.text(item.Content) }
		if d.JSON {
			write = func() error { return out.object(item) }
		}
		if d.Output == "" {
			return write()
		}
		return writeFile(d.Output, func(w io.Writer) error {
			out.w, out.screen = w, false
			return write()
		})
	})
}

type dataListCommand struct {
	Listing listSettings `embed:""`
	Hub     hubSettings  `embed:""`
}

// Run prints one line for each.
func (d *dataListCommand) Run(p *process) error {
	if err := d.Listing.check(mostListed); err != nil {
		return err
	}
	return d.Hub.do(p, there, func(b *bus) error {
		var list struct {
			Items []struct {
				Key         string      `json:"key"`
				CreatedBy   string      `json:"created_by"`
				Description string      `json:"description"`
				Channel     string      `json:"channel"`
				SizeBytes   int64       `json:"size_bytes"`
				Version     int64       `json:"version"`
				CreatedAt   models.Time `json:"created_at"`
			} `json:"items"`
		}
		if err := b.Get(p.ctx, "/api/data", d.Listing.query(), &list); err != nil {
			return err
		}
		out := newPrinter(p, d.Listing.JSON)
		if out.json {
			return each(out, list.Items)
		}
		var rows [][]string
		for _, i := range list.Items {
			rows = append(rows, []string{i.Key, strconv.FormatInt(i.SizeBytes, 10), strconv.FormatInt(i.Version, 10), name(i.CreatedBy), ago(&i.CreatedAt), i.Description})
		}
		return out.table([]string{"KEY", "BYTES", "VERSION", "BY", "WHEN", "DESCRIPTION"}, rows)
	})
}

type dataRemoveCommand struct {
	Key     string      `arg:"" name:"data-key" help:"The key."`
	Speaker speaker     `embed:""`
	Hub     hubSettings `embed:""`
}

// Run removes it.
func (d *dataRemoveCommand) Run(p *process) error {
	as, err := d.Speaker.name(p)
	if err != nil {
		return err
	}
	return d.Hub.do(p, there, func(b *bus) error {
		return b.Delete(p.ctx, "/api/data"+remote.Path(d.Key), url.Values{"sender": {as}})
	})
}

// writeFile has write fill a file that appears under its name only when it is whole.
func writeFile(file string, write func(io.Writer) error) (err error) {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() { // a pipe or a device
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		if err = write(f); err == nil {
			err = f.Close()
		} else {
			_ = f.Close()
		}
		return err
	}
	part := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+"."+rand.Text())
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part)
		}
	}()
	if err = write(f); err != nil {
		_ = f.Close()
		return err
	}
	if err = f.Close(); err == nil {
		err = os.Rename(part, file)
	}
	return err
}
