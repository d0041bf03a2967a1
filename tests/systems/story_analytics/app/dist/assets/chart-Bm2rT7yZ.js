const h=(t,a={},...c)=>{const e=document.createElement(t);for(const[k,v]of Object.entries(a))k.startsWith("on")?e.addEventListener(k.slice(2),v):e.setAttribute(k,v);e.append(...c.flat());return e};
const q=async(p,o={})=>{const r=await fetch("/api"+p,o),j=await r.json();if(!r.ok)throw new Error(j.detail);return j};
const s=(t,a,...c)=>{const e=document.createElementNS("http://www.w3.org/2000/svg",t);for(const k in a)e.setAttribute(k,a[k]);e.append(...c);return e};
const f=c=>{const m=Math.max(...c.points.map(p=>p[1]),1),g=s("svg",{class:"chart",viewBox:`0 0 640 ${c.points.length*34}`,role:"img","aria-label":c.title});c.points.forEach((p,i)=>g.append(s("text",{x:0,y:i*34+20},p[0]),s("rect",{x:130,y:i*34+5,width:440*p[1]/m,height:22,rx:2}),s("text",{x:138+440*p[1]/m,y:i*34+21},""+p[1])));return h("figure",{},h("h2",{},c.title),h("figcaption",{},c.source),g)};
export{f,h,q};
