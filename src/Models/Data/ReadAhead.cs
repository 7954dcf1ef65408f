using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;

namespace RefConv.Models.Data;

/// <summary>Prepares numbered items on a second thread while the first uses those before.</summary>
internal static class ReadAhead
{
    /// <summary>
    /// Yields items <paramref name="first"/> … <paramref name="end"/> − 1. Each is made in one of the buffers, which goes back when the next
    /// item is asked for: so the second thread is never further ahead than there are buffers.
    /// </summary>
    /// <param name="first">First item.</param>
    /// <param name="end">The item after the last.</param>
    /// <param name="buffers">At least two.</param>
    /// <param name="make">Makes an item in a buffer; should look at its token now and then. What it throws is thrown at the consumer.</param>
    /// <param name="cancellation">Ends the wait for an item with an exception.</param>
    public static IEnumerable<TItem> Run<TItem, TBuffer>(
        int first, int end, TBuffer[] buffers, Func<int, TBuffer, CancellationToken, TItem> make, CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var free = new BlockingCollection<TBuffer>();
        using var ready = new BlockingCollection<(TItem Item, TBuffer Buffer)>();
        foreach (var buffer in buffers) free.Add(buffer);
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                for (int i = first; i < end; i++)
                {
                    var buffer = free.Take(stop.Token);
                    ready.Add((make(i, buffer, stop.Token), buffer));
                }
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                // The consumer left, or is told by its own token.
            }
            catch (Exception e)
            {
                failure = e; // seen by the consumer because CompleteAdding comes after it
            }
            finally
            {
                ready.CompleteAdding();
            }
        })
        { IsBackground = true, Name = "RefConv read-ahead" };
        thread.Start();
        try
        {
            // What was ready before a failure is still handed out; the failure comes in its place in the order.
            while (ready.TryTake(out var entry, Timeout.Infinite, cancellation))
            {
                yield return entry.Item;
                cancellation.ThrowIfCancellationRequested();
                free.Add(entry.Buffer, CancellationToken.None);
            }
            cancellation.ThrowIfCancellationRequested();
            if (failure is not null) ExceptionDispatchInfo.Throw(failure);
        }
        finally
        {
            stop.Cancel();
            thread.Join();
        }
    }
}
