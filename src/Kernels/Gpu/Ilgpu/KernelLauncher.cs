using System.Collections.Concurrent;
using System.Reflection;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace RefConv.Kernels;

/// <summary>
/// Compiles kernels when they are first asked for, once a process and device, and launches them on the device's one stream. Nobody waits for a compiler: a launch whose kernel is
/// not ready is put into a queue, and so is everything after it, launches and copies, until it is. The host meanwhile walks through its first step and asks for one kernel after the
/// other, which are compiled at the same time by as many threads as there are. Whoever reads waits for the queue.
/// </summary>
internal sealed class KernelLauncher(string deviceName, Accelerator accelerator)
{
    /// <summary>Bytes of copies in the queue at most: the host must not be many batches ahead.</summary>
    private const long MostBytes = 256 << 20;

    /// <summary>The context that accelerators other than CUDA's compile in takes one kernel at a time.</summary>
    private static readonly Lock s_context = new();

    private readonly ConcurrentDictionary<MethodInfo, Lazy<Task<Delegate>>> _compiled = new();
    private readonly ConcurrentDictionary<MethodInfo, Kernel> _loaded = new();
    private readonly Lock _order = new();
    private readonly Queue<(Task<Delegate>? Kernel, Action Work, long Bytes)> _queue = new();
    private long _bytes;

    /// <summary>Launches and copies that wait for a compiler.</summary>
    public int Waiting
    {
        get
        {
            lock (_order) return _queue.Count;
        }
    }

    /// <summary>Kernels that were asked for.</summary>
    public IReadOnlyCollection<MethodInfo> Asked => [.. _compiled.Keys];

    /// <summary>Kernels that are compiled and loaded.</summary>
    public IReadOnlyDictionary<MethodInfo, Kernel> Loaded => _loaded;

    /// <summary>Runs a kernel on groups of the size that its attribute says.</summary>
    public void Launch<TArguments>(Action<TArguments> kernel, (int X, int Y, int Z) grid, TArguments arguments, int? group = null) where TArguments : struct
    {
        if (grid.X == 0 || grid.Y == 0 || grid.Z == 0) return;
        var compiled = Prepare(kernel);
        int threads = group ?? Attribute(kernel.Method).Group;
        lock (_order)
        {
            RunWhatIsReady();
            if (_queue.Count == 0 && compiled.IsCompleted) Start(kernel.Method, compiled, grid, threads, arguments);
            else Enqueue(kernel.Method, compiled, grid, threads, arguments);
        }
    }

    /// <summary>Does something with the stream in its turn: at once, or after what waits.</summary>
    /// <param name="work">Must not ask for launches.</param>
    /// <param name="bytes">Host memory that it holds on to.</param>
    public void InOrder(Action work, long bytes = 0)
    {
        lock (_order)
        {
            RunWhatIsReady();
            if (_queue.Count == 0)
            {
                work();
                return;
            }
            _queue.Enqueue((null, work, bytes));
            if ((_bytes += bytes) > MostBytes) Wait();
        }
    }

    /// <summary>Waits until everything asked for so far is in the device's stream.</summary>
    public void Wait()
    {
        lock (_order)
        {
            while (_queue.Count > 0)
            {
                if (_queue.Peek().Kernel is { } kernel) Await(kernel);
                Take();
            }
        }
    }

    /// <summary>Forgets what waits, and waits for the compilers: the device is about to go.</summary>
    public void Abandon()
    {
        lock (_order) Clear();
        foreach (var kernel in _compiled.Values) Await(kernel.Value);
    }

    /// <summary>Begins to compile.</summary>
    public Task<Delegate> Prepare<TArguments>(Action<TArguments> kernel) where TArguments : struct =>
        _compiled.GetOrAdd(kernel.Method, static (_, state) => new Lazy<Task<Delegate>>(() => Task.Run(() => state.Launcher.Compile<TArguments>(state.Kernel.Method))), (Launcher: this, Kernel: kernel)).Value;

    internal static GpuKernelAttribute Attribute(MethodInfo kernel) => kernel.GetCustomAttribute<GpuKernelAttribute>()
        ?? throw new InvalidOperationException($"{Name(kernel)} is launched as a kernel and has no [GpuKernel].");

    internal static KernelSpecialization Specialization(MethodInfo kernel)
    {
        var attribute = Attribute(kernel);
        return new(attribute.Group, attribute.MinGroups > 0 ? attribute.MinGroups : null);
    }

    internal static string Name(MethodInfo kernel) =>
        kernel.IsGenericMethod ? $"{kernel.Name}<{string.Join(", ", kernel.GetGenericArguments().Select(t => t.Name))}>" : kernel.Name;

    /// <remarks>Apart from <see cref="Launch"/>, which then makes no closure where nothing waits.</remarks>
    private void Enqueue<TArguments>(MethodInfo kernel, Task<Delegate> compiled, (int X, int Y, int Z) grid, int threads, TArguments arguments) where TArguments : struct =>
        _queue.Enqueue((compiled, () => Start(kernel, compiled, grid, threads, arguments), 0));

    private void RunWhatIsReady()
    {
        while (_queue.Count > 0 && _queue.Peek().Kernel is not { IsCompleted: false }) Take();
    }

    private void Take()
    {
        var (_, work, bytes) = _queue.Dequeue();
        _bytes -= bytes;
        try
        {
            work();
        }
        catch
        {
            Clear(); // what comes after would compute with what was not computed
            throw;
        }
    }

    /// <summary>Until it is compiled, or it is known that it cannot be: <see cref="Start"/> says so.</summary>
    private static void Await(Task kernel)
    {
        try
        {
            kernel.Wait();
        }
        catch (AggregateException)
        {
        }
    }

    private void Clear()
    {
        _queue.Clear();
        _bytes = 0;
    }

    private void Start<TArguments>(MethodInfo kernel, Task<Delegate> compiled, (int X, int Y, int Z) grid, int threads, TArguments arguments) where TArguments : struct
    {
        if (compiled.IsFaulted)
        {
            var cause = compiled.Exception!.InnerException!;
            throw new InvalidOperationException($"The kernel {Name(kernel)}, wanted for {grid.X}×{grid.Y}×{grid.Z} groups of {threads} threads, does not compile for {deviceName} ({accelerator.Name}): {cause.Message}", cause);
        }
        try
        {
            ((Action<KernelConfig, TArguments>)compiled.Result)(new KernelConfig(new Index3D(grid.X, grid.Y, grid.Z), new Index3D(threads, 1, 1)), arguments);
        }
        catch (Exception e) when (IlgpuDevice.IsDriverError(e))
        {
            throw new DeviceLostException(deviceName, $"the kernel {Name(kernel)} could not be started with {grid.X}×{grid.Y}×{grid.Z} groups", e);
        }
    }

    private Delegate Compile<TArguments>(MethodInfo method) where TArguments : struct
    {
        using var binding = accelerator.BindScoped();
        var run = (_loaded[method] = Load(method)).CreateLauncherDelegate<Action<AcceleratorStream, KernelConfig, TArguments>>();
        return (Action<KernelConfig, TArguments>)((config, arguments) => run(accelerator.DefaultStream, config, arguments));
    }

    private Kernel Load(MethodInfo method)
    {
        if (accelerator is CudaAccelerator cuda)
            return accelerator.LoadKernel(PtxCompiler.Kernel(accelerator.Context, method, GpuRuntime.CompilerFor(cuda.Architecture, cuda.InstructionSet).Compile(method)));
        lock (s_context)
        {
            // Launch bounds are CUDA's; the simulation would refuse groups that differ from them.
            return accelerator.LoadKernel(accelerator.GetBackend().Compile(EntryPointDescription.FromExplicitlyGroupedKernel(method), KernelSpecialization.Empty));
        }
    }
}
