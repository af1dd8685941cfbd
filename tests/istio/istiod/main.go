// Command istiod is the real control plane of Istio, fed from manifests instead of a Kubernetes API:
// the server of istio.io/istio/pilot/pkg/bootstrap with Istio's own fake of such an API, beside it
// Istio's store of files, and the translation of WasmPlugin to TrafficExtension, which the server
// wires up only for what the API has. In the fake is what no store of files can have: resources of
// the Gateway API, and the Secrets and Services that they name. Nothing else is added: validation,
// translation and what gateways are sent are Istio's.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"time"
	"unsafe"

	"istio.io/istio/pilot/pkg/bootstrap"
	"istio.io/istio/pilot/pkg/config/kube/extensions"
	"istio.io/istio/pilot/pkg/config/kube/file"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/serviceregistry/provider"
	"istio.io/istio/pkg/cluster"
	"istio.io/istio/pkg/cmd"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/log"
)

func main() {
	var given given
	flag.StringVar(&given.manifests, "manifests", "", "folder of the manifests to serve, which is watched")
	flag.StringVar(&given.objects, "objects", "", "file of the objects that the Kubernetes API has, if any")
	flag.StringVar(&given.mesh, "mesh", "", "file with the mesh configuration")
	flag.StringVar(&given.discovery, "discovery", "127.0.0.1:0", "address for gateways (xDS, clear text)")
	flag.StringVar(&given.secureDiscovery, "secure-discovery", "", "address for gateways (xDS, mutual TLS), if any")
	flag.StringVar(&given.certificates, "certificates", "",
		"folder of cert-chain.pem, key.pem and root-cert.pem for it")
	flag.StringVar(&given.http, "http", "127.0.0.1:0", "address of /ready and /debug")
	flag.StringVar(&given.monitoring, "monitoring", "127.0.0.1:0", "address of /metrics")
	flag.Parse()
	if err := serve(given); err != nil {
		fmt.Fprintln(os.Stderr, "istiod:", err)
		os.Exit(1)
	}
}

// given is what the command line says.
type given struct {
	manifests, objects, mesh, discovery, secureDiscovery, certificates, http, monitoring string
}

func serve(given given) error {
	if err := log.Configure(log.DefaultOptions()); err != nil {
		return err
	}
	args := bootstrap.NewPilotArgs(func(args *bootstrap.PilotArgs) {
		args.MeshConfigFile = given.mesh
		args.ServerOptions = bootstrap.DiscoveryServerOptions{
			HTTPAddr:       given.http,
			GRPCAddr:       given.discovery,
			SecureGRPCAddr: given.secureDiscovery,
			MonitoringAddr: given.monitoring,
			TLSOptions:     given.tls(),
		}
		// Agents say that they are of this cluster, and only then get its secrets.
		args.RegistryOptions.KubeOptions.ClusterID = cluster.ID(provider.Kubernetes)
		args.RegistryOptions.KubeOptions.DomainSuffix = constants.DefaultClusterLocalDomain
		args.ShutdownDuration = time.Second
	})
	if err := args.Complete(); err != nil {
		return err
	}
	client, err := kubernetes(given.objects)
	if err != nil {
		return err
	}
	files, err := file.NewController(given.manifests, constants.DefaultClusterLocalDomain, collections.Pilot,
		args.RegistryOptions.KubeOptions)
	if err != nil {
		return err
	}
	server, err := bootstrap.NewServer(args, func(server *bootstrap.Server) {
		setKubeClient(server, client)
		translated := extensions.NewController(files, laterUpdater{server: server}, args.KrtDebugger)
		server.ConfigStores = append(server.ConfigStores, files, translated)
	})
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	if err := server.Start(stop); err != nil {
		return err
	}
	cmd.WaitSignal(stop)
	server.WaitUntilCompletion()
	return nil
}

func (given given) tls() bootstrap.TLSOptions {
	options := bootstrap.TLSOptions{TLSMinVersion: bootstrap.TLSMinVersion1_2}
	if given.certificates != "" {
		options.CertFile = filepath.Join(given.certificates, "cert-chain.pem")
		options.KeyFile = filepath.Join(given.certificates, "key.pem")
		options.CaCertFile = filepath.Join(given.certificates, "root-cert.pem")
	}
	return options
}

// setKubeClient sets what only the server's own tests can set otherwise.
func setKubeClient(server *bootstrap.Server, client kube.Client) {
	field := reflect.ValueOf(server).Elem().FieldByName("kubeClient")
	reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem().Set(reflect.ValueOf(client))
}

// laterUpdater hands changes to the server's discovery half, which is made after the stores. Changes
// before that are part of its first state.
type laterUpdater struct {
	model.XDSUpdater
	server *bootstrap.Server
}

func (updater laterUpdater) ConfigUpdate(request *model.PushRequest) {
	if updater.server.XDSServer != nil {
		updater.server.XDSServer.ConfigUpdate(request)
	}
}
