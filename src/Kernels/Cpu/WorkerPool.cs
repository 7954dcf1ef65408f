using System.Runtime.ExceptionServices;

namespace RefConv.Kernels;

/// <summary>
/// Fork and join over numbered pieces of work. The pieces are cut by the caller from the shape alone, never from the number of threads,
/// and every piece is done by exactly one thread in a fixed inner order: that is why results do not depend on the number of threads.
/// Every worker has a run of the pieces of its own, the same part of every job, and then takes what others have left, so a slow core does not hold up the rest. Since pieces
/// follow the rows of a map, what a worker wrote in one kernel is mostly what it reads in the next, and is in its own caches.
/// </summary>
/// <remarks>Workers spin for about a tenth of a millisecond after a job, in case the next kernel follows at once, and then sleep.</remarks>
internal sealed class WorkerPool
{
    private const int Closed = 1 << 30;
    private const int Line = 16; // ints of a cache line
    private const int SpinsBeforeSleep = 400; // about 0.1 ms
    private static readonly Dictionary<int, WorkerPool> Pools = [];

    private readonly SemaphoreSlim[] _wake;
    private readonly int[] _asleep, _thread, _keptOff; // by worker; see ThreadPlacement
    private volatile Action<int, int>? _body;
    private volatile int _generation;
    private readonly int[] _taken; // of each worker's run, a cache line apart: how many pieces were handed out
    private int _items, _busy;
    private int _inside = Closed; // workers inside the job, and the Closed bit when no more may enter
    private volatile Exception? _failure;

    private WorkerPool(int threads)
    {
        Threads = threads;
        _wake = new SemaphoreSlim[threads];
        _asleep = new int[threads];
        _thread = new int[threads];
        _keptOff = new int[threads];
        _taken = new int[(threads + 1) * Line];
        Array.Fill(_keptOff, -1);
        for (int id = 1; id < threads; id++)
        {
            _wake[id] = new SemaphoreSlim(0);
            int worker = id;
            new Thread(() => Work(worker)) { IsBackground = true, Name = $"RefConv worker {id}" }.Start();
        }
    }

    /// <summary>Threads, the calling one included.</summary>
    public int Threads { get; }

    /// <summary>The pool of so many threads; one a process, so that devices do not multiply threads.</summary>
    public static WorkerPool Get(int threads)
    {
        lock (Pools)
        {
            if (!Pools.TryGetValue(threads, out var pool)) Pools[threads] = pool = new WorkerPool(threads);
            return pool;
        }
    }

    /// <summary>
    /// Calls <paramref name="body"/>(item, worker) once for every item in [0, items). Worker is in [0, Threads) and unique among the
    /// calls running at one time: use it to choose scratch memory. When the pool is busy with another job (also from inside one), the calling thread does all itself, as worker 0 of
    /// a job of its own.
    /// </summary>
    /// <exception cref="Exception">What a body threw, as it was thrown; pieces not yet begun are left out. The pool goes on working.</exception>
    public void Run(int items, Action<int, int> body)
    {
        if (items <= 1 || Threads == 1 || Interlocked.Exchange(ref _busy, 1) == 1)
        {
            for (int i = 0; i < items; i++) body(i, 0);
            return;
        }
        try
        {
            _body = body;
            _items = items;
            for (int id = 0; id < Threads; id++) _taken[(id + 1) * Line] = 0;
            _failure = null;
            Volatile.Write(ref _inside, 0); // open: from here on workers may enter
            Interlocked.Increment(ref _generation);
            for (int id = 1; id < Threads; id++)
            {
                if (Interlocked.Exchange(ref _asleep[id], 0) != 1) continue;
                ThreadPlacement.KeepAway(_thread[id], ref _keptOff[id]);
                _wake[id].Release();
            }
            TakeItems(0);
            var spin = default(SpinWait);
            // Nothing is left to take. Wait for those who are at a piece, but not for those who have not come: on a busy machine they may be long.
            Interlocked.Or(ref _inside, Closed);
            while (Volatile.Read(ref _inside) != Closed) spin.SpinOnce(sleep1Threshold: -1);
            _body = null;
            if (_failure is { } failure) ExceptionDispatchInfo.Throw(failure);
        }
        finally
        {
            Volatile.Write(ref _busy, 0);
        }
    }

    /// <summary>
    /// Counts a worker in, unless the job is closed. One who comes late may enter the job after the one it was woken for; that is as good,
    /// since the fields of a job are written while nobody is inside.
    /// </summary>
    private bool Enter()
    {
        int inside = Volatile.Read(ref _inside);
        while ((inside & Closed) == 0)
        {
            int before = Interlocked.CompareExchange(ref _inside, inside + 1, inside);
            if (before == inside) return true;
            inside = before;
        }
        return false;
    }

    private void TakeItems(int worker)
    {
        try
        {
            var body = _body!;
            for (int i = 0; i < Threads; i++)
            {
                int owner = (worker + i) % Threads, first = Start(owner), count = Start(owner + 1) - first, item;
                ref int taken = ref _taken[(owner + 1) * Line];
                // Looked at before it is counted up: late comers would count on for ever.
                while (Volatile.Read(ref taken) < count && (item = Interlocked.Increment(ref taken) - 1) < count) body(first + item, worker);
            }
        }
        catch (Exception e)
        {
            _failure = e;
            for (int id = 0; id < Threads; id++) Volatile.Write(ref _taken[(id + 1) * Line], _items); // the job has failed: hand out no more of it
        }
    }

    /// <summary>The first piece of a worker's run.</summary>
    private int Start(int worker) => (int)((long)_items * worker / Threads);

    private void Work(int id)
    {
        _thread[id] = ThreadPlacement.CurrentThread;
        int seen = 0;
        while (true)
        {
            int spins = 0;
            while (_generation == seen)
            {
                if (++spins < SpinsBeforeSleep)
                {
                    Thread.SpinWait(8);
                    continue;
                }
                // Say that we sleep, then look once more: a job posted in between either sees the flag or is seen here.
                Volatile.Write(ref _asleep[id], 1);
                Interlocked.MemoryBarrier();
                if (_generation != seen && Interlocked.Exchange(ref _asleep[id], 0) == 1) break;
                _wake[id].Wait();
                spins = 0;
            }
            seen = _generation;
            if (!Enter()) continue; // the others were faster
            TakeItems(id);
            Interlocked.Decrement(ref _inside);
        }
    }
}
