// SPDX-License-Identifier: Apache-2.0
//
// Fills in what libcni makes of the folders in folders.json:
//
//	go run generate.go <folders.json >new && mv new folders.json
//
// With libcni 1.3.0 under $GOPATH/src/github.com/containernetworking/cni, and GO111MODULE=off.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/containernetworking/cni/libcni"
)

type network struct {
	File    string   `json:"file"`
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Plugins []string `json:"plugins"`
}

type folder struct {
	About   string            `json:"about"`
	Files   map[string]string `json:"files,omitempty"`
	Bytes   map[string]string `json:"bytes,omitempty"` // in hexadecimal
	Links   map[string]string `json:"links,omitempty"`
	Folders []string          `json:"folders,omitempty"`
	InUse   *network          `json:"inUse"`
}

// As the runtimes do: libcni lists and loads, and the first file that loads is in use.
func load(file string) (*libcni.NetworkConfigList, error) {
	if strings.HasSuffix(file, ".conflist") {
		return libcni.ConfListFromFile(file)
	}
	single, err := libcni.ConfFromFile(file)
	if err != nil {
		return nil, err
	}
	return libcni.ConfListFromConf(single)
}

func inUse(root string) *network {
	files, err := libcni.ConfFiles(root, []string{".conf", ".conflist", ".json"})
	if err != nil {
		log.Fatal(err)
	}
	sort.Strings(files)
	for _, file := range files {
		list, err := load(file)
		if err != nil {
			fmt.Fprintln(os.Stderr, "  refused:", err)
			continue
		}
		out := network{filepath.Base(file), list.Name, list.CNIVersion, nil}
		for _, plugin := range list.Plugins {
			out.Plugins = append(out.Plugins, plugin.Network.Type)
		}
		return &out
	}
	return nil
}

func (each *folder) make(root string) {
	write := func(name string, content []byte) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			log.Fatal(err)
		}
	}
	for _, name := range each.Folders {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			log.Fatal(err)
		}
	}
	for name, text := range each.Files {
		write(name, []byte(text))
	}
	for name, text := range each.Bytes {
		content, err := hex.DecodeString(text)
		if err != nil {
			log.Fatal(err)
		}
		write(name, content)
	}
	for name, target := range each.Links {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			log.Fatal(err)
		}
	}
}

func main() {
	var folders []folder
	if err := json.NewDecoder(os.Stdin).Decode(&folders); err != nil {
		log.Fatal(err)
	}
	for i := range folders {
		root, err := os.MkdirTemp("", "libcni")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprintln(os.Stderr, folders[i].About)
		folders[i].make(root)
		folders[i].InUse = inUse(root)
		os.RemoveAll(root)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(folders); err != nil {
		log.Fatal(err)
	}
}
