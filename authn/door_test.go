package authn_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sallyport-auth/sallyport"

// sources calls use with every Go file of the module that is not a test, by its path from the root.
func sources(t *testing.T, use func(path string, f *ast.File)) {
	t.Helper()
	root := ".."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if path != root && (nested == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		use(filepath.ToSlash(rel), f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// There is one place in the code that makes a principal, and few that put one into a session.
func TestOneDoor(t *testing.T) {
	makers := map[string]int{}
	putters := map[string]int{}
	sources(t, func(path string, f *ast.File) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			where := path + ":" + fn.Name.Name
			ast.Inspect(fn, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CompositeLit:
					if len(n.Elts) == 0 {
						return true
					}
					switch name := typeName(n.Type); {
					case name == "Principal" && f.Name.Name == "authn", name == "authn.Principal":
						makers[where]++
					case name == "Authenticated" && f.Name.Name == "authn", name == "authn.Authenticated":
						putters[where]++
					}
				case *ast.AssignStmt:
					for i, left := range n.Lhs {
						s, ok := left.(*ast.SelectorExpr)
						if !ok || f.Name.Name != "authn" || s.Sel.Name != "person" && s.Sel.Name != "unattended" {
							continue
						}
						if len(n.Rhs) == len(n.Lhs) {
							if id, ok := n.Rhs[i].(*ast.Ident); ok && id.Name == "nil" {
								continue // taking one away is no door
							}
						}
						putters[where]++
					}
				}
				return true
			})
		}
	})
	if len(makers) != 1 || makers["authn/step.go:promote"] != 1 {
		t.Errorf("principals are made in %v, and should be in promote alone", makers)
	}
	for where := range putters {
		switch where {
		case "authn/step.go:enter", // what promote made
			"authn/inside.go:proveStepUp",   // what promote made more of
			"authn/encode.go:authenticated": // what was made before, and checked again
		default:
			t.Errorf("%s puts a principal into a session", where)
		}
	}
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	}
	return ""
}

// The machine computes and nothing else.
func TestMachineIsPure(t *testing.T) {
	forbidden := map[string]bool{"net/http": true, "os": true, "crypto/rand": true, "math/rand": true, "math/rand/v2": true, "sync": true, "context": true, "log/slog": true}
	sources(t, func(path string, f *ast.File) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function", path)
			}
		}
		if filepath.ToSlash(filepath.Dir(path)) != "authn" {
			return
		}
		for _, i := range f.Imports {
			if p, _ := strconv.Unquote(i.Path.Value); forbidden[p] {
				t.Errorf("%s imports %s", path, p)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", path)
			case *ast.SelectorExpr:
				if name := typeName(n); name == "time.Now" || name == "time.Since" || name == "time.Until" {
					t.Errorf("%s reads the clock: %s", path, name)
				}
			}
			return true
		})
	})
}

// rank is the place of a package in the one direction of imports: a package imports only what has a lower rank, or its own
// folder.
func rank(pkg string) int {
	switch top, _, _ := strings.Cut(pkg, "/"); {
	case pkg == "authn/policy":
		return 2
	case pkg == "authn":
		return 1
	case top == "factors":
		return 3
	case top == "session":
		return 4
	case top == "stores":
		return 5
	case top == "examples", top == "cmd":
		return 6
	}
	return 0
}

func TestImportsGoOneWay(t *testing.T) {
	seen := 0
	sources(t, func(path string, f *ast.File) {
		from := filepath.ToSlash(filepath.Dir(path))
		if rank(from) == 0 {
			t.Errorf("%s is in no folder that the layout has", path)
		}
		for _, i := range f.Imports {
			p, _ := strconv.Unquote(i.Path.Value)
			to, ours := strings.CutPrefix(p, module+"/")
			if !ours {
				continue
			}
			seen++
			if rank(to) > rank(from) {
				t.Errorf("%s imports %s, against the direction", path, to)
			}
			a, b := factorOf(from), factorOf(to)
			// What starts providers for tests makes certificates for them, with a package for tests.
			forTests := from == "factors/oauth/live" && to == "factors/mtls/mtlstest"
			if a != "" && b != "" && a != b && !forTests {
				t.Errorf("%s: the factor %s imports the factor %s", path, a, b)
			}
			if strings.HasPrefix(to, "examples/") || strings.HasPrefix(to, "cmd/") {
				t.Errorf("%s imports the program %s", path, to)
			}
		}
	})
	if seen < 20 {
		t.Errorf("only %d imports were looked at", seen)
	}
}

// factorOf is the factor that a package belongs to.
func factorOf(pkg string) string {
	rest, ok := strings.CutPrefix(pkg, "factors/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	if name == "internal" || name == "factortest" {
		return ""
	}
	return name
}
