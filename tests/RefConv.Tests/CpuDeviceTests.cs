using RefConv.Kernels;

namespace RefConv.Tests;

/// <summary>Memory and threads under the kernels.</summary>
public sealed unsafe class CpuDeviceTests
{
    [Fact]
    public void MemoryIsKeptAndLentAgain()
    {
        using var pool = new MemoryPool();
        var first = pool.Rent(1_000_000);
        byte* place = MemoryPool.Pointer(first);
        pool.Return(first);
        long held = pool.Statistics.HeldBytes;
        Assert.InRange(held, 1_000_000, 1_000_200);
        var second = pool.Rent(600_000);
        Assert.True(place == MemoryPool.Pointer(second));
        var third = pool.Rent(300_000); // what was left of it
        Assert.Equal(held, pool.Statistics.HeldBytes);
        pool.Return(second);
        pool.Return(third);
        Assert.True(place == MemoryPool.Pointer(first = pool.Rent(1_000_000))); // one block again
        pool.Return(first);
        Assert.Equal(held, pool.Statistics.HeldBytes);
        Assert.Equal(0, pool.Statistics.RentedBytes);
        pool.Trim();
        Assert.Equal(0, pool.Statistics.HeldBytes);
    }

    [Fact]
    public void TrimGivesBackWhatLiesBetweenLentBlocks()
    {
        using var pool = new MemoryPool();
        MemoryBlock first = pool.Rent(8 << 20), middle = pool.Rent(8 << 20), last = pool.Rent(8 << 20);
        foreach (var block in (MemoryBlock[])[first, middle, last]) new Span<byte>(MemoryPool.Pointer(block), 8 << 20).Fill(1);
        byte* place = MemoryPool.Pointer(first);
        pool.Return(first);
        pool.Return(last);
        pool.Trim();
        Assert.Equal(2 * middle.Bytes, pool.Statistics.HeldBytes); // the last one's addresses are no longer counted
        Assert.Equal(1, MemoryPool.Pointer(middle)[4 << 20]);
        var again = pool.Rent(8 << 20);
        Assert.True(MemoryPool.Pointer(again) == place);
        if (OperatingSystem.IsLinux()) Assert.Equal(0, MemoryPool.Pointer(again)[4 << 20]);
    }

    [Fact]
    public void BlocksAreAlignedAndHaveALineToReadBeyondTheirEnd()
    {
        using var pool = new MemoryPool();
        var random = new RandomStream(1, 1);
        for (int i = 0; i < 10_000; i++)
        {
            long bytes = (long)Math.Pow(2, random.NextUniform(0, 45)), size = MemoryPool.RoundUp(bytes);
            Assert.InRange(size, bytes + BlockHeap.Line, bytes + (2 * BlockHeap.Line) - 1);
            Assert.Equal(0, size % BlockHeap.Line);
        }
        foreach (long bytes in new long[] { 0, 1, 100, 4096, 100_003 })
        {
            MemoryBlock a = pool.Rent(bytes), b = pool.Rent(bytes);
            Assert.Equal(0, (long)MemoryPool.Pointer(a) % 64);
            Assert.True(Math.Abs(MemoryPool.Pointer(a) - MemoryPool.Pointer(b)) >= bytes);
            pool.Return(a);
            pool.Return(b);
        }
    }

    [Fact]
    public void BuffersNotGivenBackAreCounted()
    {
        using var device = new CpuDevice(1);
        var a = device.Rent(1000);
        var b = device.Rent(2000);
        Assert.Equal(2, device.Memory.RentedBuffers);
        Assert.InRange(device.Memory.RentedBytes, 12_000, 12_000 * 1.125 + 256);
        long peak = device.Memory.RentedBytes;
        a.Dispose();
        a.Dispose(); // twice is once
        Assert.Equal(1, device.Memory.RentedBuffers);
        Assert.Equal(peak, device.Memory.PeakRentedBytes);
        b.Dispose();
        Assert.Equal(0, device.Memory.RentedBuffers);
        Assert.Equal(0, device.Memory.RentedBytes);
    }

    [Fact]
    public void ABufferMayOutliveItsDevice()
    {
        var device = new CpuDevice(1);
        var buffer = device.Rent(10);
        device.Dispose();
        device.Write(buffer.View, new float[10]);
        buffer.Dispose();
        Assert.Equal(0, device.Memory.HeldBytes);
        Assert.Throws<ObjectDisposedException>(() => device.Rent(1));
    }

    [Fact]
    public void UsingADisposedBufferSaysWhatHappened()
    {
        foreach (Device device in new Device[] { new CpuDevice(1), new ReferenceDevice() })
        {
            using (device)
            {
                var buffer = device.Rent(4);
                var view = buffer.View;
                buffer.Dispose();
                Assert.True(buffer.IsDisposed);
                var error = Assert.Throws<ObjectDisposedException>(() => device.Read(view, new float[4]));
                Assert.Contains("memory was given back", error.Message);
                Assert.Contains("Tape.Keep", error.Message);
                Assert.DoesNotContain("String", error.Message);
                Assert.Throws<ObjectDisposedException>(() => device.Kernels.Fill(view, 1));
            }
        }
    }

    [Fact]
    public void ImpossibleRequestsAreRefused()
    {
        using var device = new CpuDevice(1);
        Assert.Throws<ArgumentOutOfRangeException>(() => device.Rent(-1));
        Assert.Throws<OutOfMemoryException>(() => device.Rent(long.MaxValue / 2));
        var error = Assert.Throws<OutOfMemoryException>(() => device.Rent(1L << 50));
        Assert.Contains("smaller batch", error.Message);
        Assert.Equal(0, device.Memory.RentedBuffers);
        Assert.Throws<ArgumentOutOfRangeException>(() => new CpuDevice(-1));
    }

    [Fact]
    public void PoisonedBuffersAreNaN()
    {
        using var device = new CpuDevice(1) { PoisonBuffers = true };
        using var buffer = device.Rent(100);
        float[] values = new float[100];
        device.Read(buffer.View, values);
        Assert.All(values, v => Assert.True(float.IsNaN(v)));
        Assert.Throws<ArgumentException>(() => device.Read(buffer.View, new float[99]));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void EveryItemIsDoneOnce(int threads)
    {
        var pool = WorkerPool.Get(threads);
        for (int round = 0; round < 300; round++)
        {
            int items = round % 37;
            int[] done = new int[items], inUse = new int[threads];
            pool.Run(items, (item, worker) =>
            {
                Assert.Equal(1, Interlocked.Increment(ref inUse[worker])); // nobody else is this worker now
                Interlocked.Increment(ref done[item]);
                Interlocked.Decrement(ref inUse[worker]);
            });
            Assert.All(done, d => Assert.Equal(1, d));
            if (round % 100 == 0) Thread.Sleep(5); // let the workers fall asleep
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void JobsInsideJobsAndBesideJobsAreDone(int threads)
    {
        var pool = WorkerPool.Get(threads);
        int[] done = new int[4];
        void Caller(int caller)
        {
            for (int round = 0; round < 50; round++)
                pool.Run(5, (_, _) => pool.Run(7, (_, worker) =>
                {
                    Assert.InRange(worker, 0, threads - 1);
                    Interlocked.Increment(ref done[caller]);
                }));
        }
        Thread[] callers = [.. Enumerable.Range(0, done.Length).Select(i => new Thread(() => Caller(i)))];
        foreach (var t in callers) t.Start();
        foreach (var t in callers) t.Join();
        Assert.All(done, d => Assert.Equal(50 * 5 * 7, d));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void AnExceptionInABodyReachesTheCallerAndThePoolGoesOn(int threads)
    {
        var pool = WorkerPool.Get(threads);
        for (int round = 0; round < 20; round++)
        {
            int bad = round;
            var error = Assert.Throws<InvalidOperationException>(() => pool.Run(20, (item, _) =>
            {
                if (item == bad) throw new InvalidOperationException($"item {item}");
            }));
            Assert.Equal($"item {bad}", error.Message);
            int done = 0;
            pool.Run(20, (_, _) => Interlocked.Increment(ref done));
            Assert.Equal(20, done);
        }
    }

    [Fact]
    public void PoolsAreShared()
    {
        WorkerPool[] pools = new WorkerPool[8];
        Thread[] askers = [.. Enumerable.Range(0, 8).Select(i => new Thread(() => pools[i] = WorkerPool.Get(6)))];
        foreach (var t in askers) t.Start();
        foreach (var t in askers) t.Join();
        Assert.Single(pools.Distinct());
        using var device = new CpuDevice();
        Assert.Equal(Environment.ProcessorCount, device.Threads);
        Assert.Contains($"{device.Threads} thread", device.Description);
    }

    [Fact]
    public void AThreadCanBeKeptOffTheProcessorOfTheCaller()
    {
        if (!OperatingSystem.IsLinux() || Environment.ProcessorCount == 1) return; // there nothing is done, by design
        string before = "", after = "";
        var thread = new Thread(() =>
        {
            int kept = -1, self = ThreadPlacement.CurrentThread;
            before = Allowed();
            ThreadPlacement.KeepAway(self, ref kept);
            after = Allowed();
            Assert.InRange(kept, 0, 1023);
        });
        thread.Start();
        thread.Join();
        Assert.NotEqual(before, after);

        static string Allowed() => File.ReadLines("/proc/thread-self/status").First(l => l.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal));
    }
}
